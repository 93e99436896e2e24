/**
 * Broker: a RabbitMQ to try Owsla with, private, on loopback, until Ctrl-C.
 * From: `npm run broker`.  To: one line to paste into the other terminals.
 * Bound: its data is temporary and goes when it ends.
 */
import { once } from 'node:events';
import { type Broker, startBroker } from '../test/helpers/processes/broker.ts';

const EXIT_UNAVAILABLE = 69;

async function main(): Promise<void> {
  console.error('# starting a private RabbitMQ: some seconds, more on a busy machine');
  let broker: Broker;
  try {
    broker = await startBroker();
  } catch (error) {
    console.error(`broker: ${(error as Error).message}`);
    process.exitCode = EXIT_UNAVAILABLE;
    return;
  }
  console.log(`export OWSLA_AMQP=${broker.url}`);
  const awake = setInterval(() => {}, 60_000);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  clearInterval(awake);
  await broker.stop();
}

await main();
