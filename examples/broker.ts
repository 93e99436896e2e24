/**
 * Broker: a RabbitMQ to try Owsla with, private, on loopback, until Ctrl-C.
 * From: `npm run broker`.  To: one line to paste into the other terminals.
 * Bound: its data is temporary and goes when it ends.
 */
import { once } from 'node:events';
import { startBroker } from '../test/helpers/broker.ts';

const broker = await startBroker();
console.log(`export OWSLA_AMQP=${broker.url}`);
const awake = setInterval(() => {}, 60_000);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
clearInterval(awake);
await broker.stop();
