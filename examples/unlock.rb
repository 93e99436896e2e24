%w[bunny securerandom timeout].each { |name| require name } # apt install ruby-bunny
device, seconds = ARGV.fetch(0) { abort 'usage: unlock.rb DEVICE [SECONDS]' }, (ARGV[1] || 5).to_f
channel = Bunny.new(ENV.fetch('OWSLA_AMQP', 'amqp://127.0.0.1')).start.create_channel
outcomes = Queue.new
channel.queue('amq.rabbitmq.reply-to', no_declare: true).subscribe { |*one| outcomes << one }
channel.basic_publish('please', "#{ENV.fetch('OWSLA_PREFIX', 'owsla')}.commands", device,
                      type: 'door.open', reply_to: 'amq.rabbitmq.reply-to', persistent: false,
                      message_id: SecureRandom.uuid, # names the command
                      headers: { deadline: ((Time.now.to_f + seconds) * 1000).to_i })
code = nil
until code # `delivered` may come first, then exactly one of these
  _, outcome, body = Timeout.timeout(seconds + 5) { outcomes.pop }
  status, reason = (outcome.headers || {}).values_at('status', 'reason')
  puts [outcome.type, status, reason, body].compact.join(' ').strip
  code = { 'offline' => 3, 'expired' => 4, 'refused' => 5 }[outcome.type]
  code = status.zero? ? 0 : 2 if outcome.type == 'result'
end
exit code

# Opens a door, from Ruby, and says how that ended. docs/commands.md has the rest.
#
# A command is one message to the exchange `owsla.commands`: routing key = the device, type = the
# topic. `persistent: false` means now or never, as for somebody who stands in front of the door; a
# persistent one is kept for a device that is away, until its deadline. Outcomes come to reply_to,
# with the correlation_id if it has one. Here that is RabbitMQ's direct reply-to, which needs no
# queue and no right, and ends with this process.
#
# Exit code: 0 opened, 2 the device answered with another status, 3 offline, 4 expired, 5 refused;
# 1 no outcome (Timeout::Error): Owsla or the broker is away, and nobody knows.
