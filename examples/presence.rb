%w[bunny json timeout].each { |name| require name } # apt install ruby-bunny, or gem install bunny
$stdout.sync = true
NAME = ENV.fetch('OWSLA_PREFIX', 'owsla')
link = Bunny.new(ENV.fetch('OWSLA_AMQP', 'amqp://127.0.0.1'), network_recovery_interval: 1).start
view = {} # device => its last event: everything that is known
epoch = Float::INFINITY
todo = Queue.new # where the snapshot goes on; nil: it is complete
merge = lambda do |event| # the highest (epoch, seq) wins
  known = view.fetch(event['device'], {}).values_at('epoch', 'seq').map(&:to_i)
  next unless (event.values_at('epoch', 'seq') <=> known).positive?
  view[event['device']] = event
  puts "#{event['device']} #{event['online'] ? 'online' : 'offline'} #{event['reason']}"
end
channel = link.create_channel
queue = channel.queue("backend.presence.#{NAME}", durable: true)
queue.bind("#{NAME}.presence", routing_key: '#').subscribe(manual_ack: true) do |delivery, _, body|
  word = JSON.parse(body) # an event, a page of the snapshot, or an error
  (word['devices'] || [word]).each(&merge) unless word['error']
  todo << word['next'] if word['devices']
  todo << '' if !word['devices'] && word['epoch'].to_i > epoch # a new or restored store: ask again
  epoch = word['epoch'] if word['devices'] || word['epoch'].to_i > epoch
  view.delete_if { |_, e| e['epoch'] < epoch } if word['devices'] && !word['next'] # an old store's
  channel.ack(delivery.delivery_tag)
end
after = ''
asker = link.create_channel.default_exchange # bunny: one channel per thread
ask = { routing_key: "#{NAME}.presence.query", reply_to: queue.name, persistent: false }
loop do
  asker.publish({ after: after }.to_json, ask.dup) if after # bunny empties it
  after = Timeout.timeout(after && 15) { todo.pop }
rescue Timeout::Error # Owsla is away, and the question gone after 10 s: ask again
end

# Who is connected, in Ruby: the order of steps is what matters. First the queue is bound, so that
# no event is missed from then on; then all rows are asked for, page by page; and both are merged:
# of each device the event with the highest (epoch, seq) is true, whatever came twice or late.
# docs/presence.md has the rest.
#
# Start Owsla first: it declares the exchange. When the broker restarts, bunny connects again; the
# queue is durable, so it has kept what was said meanwhile. Delete it when you stop for good.
# Bound: the view has one entry per device; the queue grows while nobody runs this.
