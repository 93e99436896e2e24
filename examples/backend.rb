require 'bunny' # apt install ruby-bunny, or gem install bunny
NAME = ENV.fetch('OWSLA_PREFIX', 'owsla')
link = Bunny.new(ENV.fetch('OWSLA_AMQP', 'amqp://127.0.0.1'), network_recovery_interval: 1).start
channel = link.create_channel(nil, ENV['SHUFFLE'] ? 32 : 1).tap { |c| c.prefetch(256) }
queue = channel.queue("backend.#{NAME}", durable: true).bind("#{NAME}.requests", routing_key: '#')
queue.subscribe(manual_ack: true) do |delivery, request, body|
  sleep rand * ENV['DELAY_MS'].to_f / 1000 # a real backend does its work here
  channel.default_exchange.publish(body, routing_key: request.reply_to, persistent: false,
                                         correlation_id: request.correlation_id)
  channel.ack(delivery.delivery_tag)
end
$stdout.sync = true
puts 'ready'
sleep # bunny's threads do the work; Ctrl-C ends it

# A backend for Owsla in Ruby: takes every REQUEST of every device and answers it with its own
# payload. docs/amqp.md has the rest.
#
# To answer is to publish to the default exchange with the request's reply_to as routing key and its
# correlation_id. Bind with 'door-17.#' for one device, '*.hvac.#' for one topic of them all; who
# asks is in request.headers['device'], what about in request.headers['topic'].
#
# Start Owsla first: it declares the exchange. When the broker restarts, bunny connects again,
# declares the queue again and goes on.
# Bound: 256 requests are held at a time, and acked when answered: if this process dies, the broker
# gives what is left to another.
# For tests: DELAY_MS makes an answer take up to that long; SHUFFLE=1 answers on 32 threads, and so
# not in the order of the requests.
