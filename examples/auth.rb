require 'bunny' # apt install ruby-bunny, or gem install bunny
require 'json'
require 'openssl'
NAME = ENV.fetch('OWSLA_PREFIX', 'owsla')
TOKENS = JSON.parse(ENV.fetch('TOKENS', '{}')) # device id => token; a real one has a database
link = Bunny.new(ENV.fetch('OWSLA_AMQP', 'amqp://127.0.0.1'), network_recovery_interval: 1).start
channel = link.create_channel.tap { |c| c.prefetch(256) }
queue = channel.queue("auth.#{NAME}", durable: true).bind("#{NAME}.auth", routing_key: 'auth')
queue.subscribe(manual_ack: true) do |delivery, question, body|
  device, token = JSON.parse(body).values_at('device', 'token')
  allow = TOKENS.key?(device) && OpenSSL.secure_compare(TOKENS[device], token)
  answer = { allow: allow, expires: Time.now.to_i + 3600, topics: ['door.#', 'hvac.#'] }
  way = { routing_key: question.reply_to, correlation_id: question.correlation_id }
  channel.default_exchange.publish(answer.to_json, persistent: false, **way)
  channel.ack(delivery.delivery_tag)
end
$stdout.sync = true
puts 'ready'
sleep # bunny's threads do the work; Ctrl-C ends it

# A backend that says for Owsla which devices may connect: for `owsla serve --auth backend`.
# docs/security.md has the rest, docs/amqp.md every property.
#
# Try it: TOKENS='{"door-17":"geheim"}' ruby examples/auth.rb
#
# expires is in seconds since 1970: the link ends then; without it, never. topics is what the
# device may publish; without it, everything. Say no with allow: false, and nothing at all if you
# cannot know now: then whoever was let in before gets in, and others come back later.
