%w[bunny securerandom opentelemetry/sdk].each { |name| require name }
NAME = ENV.fetch('OWSLA_PREFIX', 'owsla')
OpenTelemetry::SDK.configure { |config| config.service_name = 'door-backend' }
TRACER = OpenTelemetry.tracer_provider.tracer('door-backend')
channel = Bunny.new(ENV.fetch('OWSLA_AMQP', 'amqp://127.0.0.1')).start.create_channel
channel.prefetch(64)

# The sender's span is in the headers, by the names of the standard.
def span_of(message)
  OpenTelemetry.propagation.extract(message.headers || {})
end

channel.queue('amq.rabbitmq.reply-to', no_declare: true).subscribe do |_, outcome, _|
  parent = span_of(outcome)
  TRACER.start_span("outcome #{outcome.type}", with_parent: parent, kind: :consumer).finish
end

queue = channel.queue('', exclusive: true).bind("#{NAME}.requests", routing_key: '#')
queue.subscribe(manual_ack: true) do |delivery, request, body|
  OpenTelemetry::Context.with_current(span_of(request)) do
    TRACER.in_span('answer', kind: :server) do
      TRACER.in_span('light', kind: :producer) do
        headers = { 'deadline' => ((Time.now.to_f + 5) * 1000).to_i }
        OpenTelemetry.propagation.inject(headers) # traceparent, tracestate
        channel.basic_publish('on', "#{NAME}.commands", request.headers['device'],
                              type: 'light.switch', message_id: SecureRandom.uuid, headers: headers,
                              reply_to: 'amq.rabbitmq.reply-to', persistent: false)
      end
      channel.default_exchange.publish(body, routing_key: request.reply_to, persistent: false,
                                             correlation_id: request.correlation_id)
    end
  end
  channel.ack(delivery.delivery_tag)
end
$stdout.sync = true
puts 'ready'
sleep # bunny's threads do the work; Ctrl-C ends it

# A backend whose spans join those of devices and of other backends, with OpenTelemetry:
#
#   gem install bunny opentelemetry-sdk opentelemetry-exporter-otlp
#
# Spans go where OTEL_EXPORTER_OTLP_ENDPOINT says. tracing.ts does the same and explains it.
