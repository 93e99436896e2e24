/**
 * A device by MQTT.js, for test/interop: a JSON object a line in, one a line out. Which ones: the
 * header of driven.ts.
 */
import { createInterface } from 'node:readline';
import { connect, type ErrorWithReasonCode, type IClientOptions, type MqttClient } from 'mqtt';
import type { Order } from '../lib/driven.ts';

let client: MqttClient | undefined;
let lost: number | undefined;

function say(what: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ is: what, ...fields })}\n`);
}

function make(order: Extract<Order, { do: 'connect' }>): MqttClient {
  const options: IClientOptions = {
    host: order.host,
    port: order.port,
    clientId: order.id,
    protocolVersion: order.version,
    keepalive: order.keepalive ?? 60,
    reconnectPeriod: order.reconnect ? 500 : 0,
    ...(order.will === undefined
      ? {}
      : {
          will: { ...order.will, payload: Buffer.from(order.will.payload), qos: 1, retain: false },
        }),
  };
  const made = connect(options);
  let isIn = false;
  made.on('connect', () => {
    isIn = true;
    lost = undefined;
    say('connected');
  });
  made.on('error', (error) => {
    if (!isIn) say('refused', { code: (error as ErrorWithReasonCode).code });
  });
  made.on('disconnect', ({ reasonCode }) => {
    lost = reasonCode;
  });
  made.on('close', () => {
    if (isIn) say('lost', { code: lost ?? 0 });
    isIn = false;
  });
  made.on('message', (topic, payload, { properties }) => {
    const { userProperties, correlationData } = properties ?? {};
    const correlation = correlationData?.toString();
    say('message', { topic, payload: payload.toString(), user: userProperties, correlation });
  });
  return made;
}

function act(order: Order): void {
  if (order.do === 'connect') client = make(order);
  else if (order.do === 'subscribe') {
    client?.subscribe(order.filter, { qos: 1 }, (error, granted) => {
      say('subscribed', { code: granted?.[0]?.qos ?? (error ? 128 : 0) });
    });
  } else if (order.do === 'publish') {
    const { topic, payload, qos, response: responseTopic, correlation } = order;
    const properties =
      responseTopic === undefined
        ? {}
        : { properties: { responseTopic, correlationData: Buffer.from(correlation ?? '') } };
    client?.publish(topic, payload, { qos, ...properties }, (error) => {
      say('published', { code: (error as ErrorWithReasonCode | undefined)?.code ?? 0 });
    });
  } else if (order.do === 'drop') client?.stream.destroy();
  else client?.end();
}

createInterface({ input: process.stdin }).on('line', (line) => act(JSON.parse(line) as Order));
process.stdin.on('end', () => process.exit(0));
say('here', { name: 'MQTT.js' });
