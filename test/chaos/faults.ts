/**
 * Faults: everything that goes wrong in a chaos run, one function each.
 * From: chaos.ts, which picks one after the other.  To: the world's processes and connections.
 * Bound: each is over when its promise resolves; from then on the world must heal by itself.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Manner } from './backend.ts';
import type { Loss } from './detection.ts';
import type { World } from './world.ts';

/** How long faults last, in ms. */
export interface Times {
  readonly stoppedMs: number;
  readonly alarmMs: number;
  readonly cutMs: number;
  /** Without a backend, or without a broker, before it is started again. */
  readonly awayMs: number;
  /** With a backend that misbehaves. */
  readonly mannerMs: number;
}

export interface Means {
  readonly times: Times;
  /** 0 up to, not including, `count`. */
  readonly below: (count: number) => number;
}

export type Fault = (world: World, means: Means) => Promise<void>;

/** Times the steady rate in a flood. */
const FLOOD = 5;
/** Of all memory: the alarm is sure to go off; and what RabbitMQ has by default. */
const WATERMARKS = { low: '0.0001', usual: '0.4' } as const;

/** A device's longest backoff, and its connect. Some of 2,000 find nobody five times: 32 s. */
const COME_BACK_MS = 130_000;

function manner(name: Manner): Fault {
  return async ({ backend }, { times }) => {
    backend.behave(name);
    await pause(times.mannerMs);
    backend.behave('answer');
  };
}

/** By the name that the report shows. */
export const FAULTS = {
  'kill -9 the broker, start it again': async ({ broker }, { times }) => {
    await broker.kill();
    await pause(times.awayMs);
    await broker.start();
  },
  'SIGSTOP the broker': async ({ broker }, { times }) => {
    broker.pause();
    await pause(times.stoppedMs);
    broker.resume();
  },
  'memory alarm at the broker': async ({ broker }, { times }) => {
    await broker.ctl('set_vm_memory_high_watermark', WATERMARKS.low);
    await pause(times.alarmMs);
    await broker.ctl('set_vm_memory_high_watermark', WATERMARKS.usual);
  },
  'TCP to the broker cut without FIN': async ({ proxy }, { times }) => {
    proxy.cut();
    await pause(times.cutMs);
    proxy.heal();
  },
  'a reply queue is deleted': async (world, { below }) => {
    const queue = world.replyQueue(1 + below(world.acceptors));
    await world.atBroker((channel) => channel.deleteQueue(queue));
  },
  'kill -9 an acceptor': async (world, { below }) => {
    process.kill(world.server.childPid(`acceptor ${1 + below(world.acceptors)}`), 'SIGKILL');
  },
  'kill -9 the registrar': async ({ server }) => {
    process.kill(server.childPid('registrar'), 'SIGKILL');
  },
  'SIGSTOP the registrar': async ({ server }, { times }) => {
    const pid = server.childPid('registrar');
    process.kill(pid, 'SIGSTOP');
    await pause(times.mannerMs);
    process.kill(pid, 'SIGCONT');
  },
  'kill -9 the whole node, start it again': async (world, { times }) => {
    await world.server.stop();
    await pause(times.awayMs);
    await world.serve();
    // Whoever found nobody a few times comes back when its own backoff lets it.
    await world.fleet.untilOpen(COME_BACK_MS);
  },
  'kill -9 the backends, start them again': async ({ backend, commander }, { times }) => {
    await Promise.all([backend.kill(), commander.kill()]);
    await pause(times.awayMs);
    await Promise.all([backend.start(), commander.start()]);
  },
  'a backend that nacks': manner('nack'),
  'a backend that replies twice': manner('twice'),
  'a backend that replies garbage': manner('garbage'),
  'a backend that replies late': manner('late'),
  'a slow backend while devices flood': async ({ backend, fleet }, { times }) => {
    backend.behave('slow');
    fleet.rate(FLOOD);
    await pause(times.mannerMs);
    fleet.rate(1);
    backend.behave('answer');
  },
} as const satisfies Record<string, Fault>;

/** What these take from the node is its broker, and how; by the same names. */
const LOSSES: Readonly<Partial<Record<string, Loss>>> = {
  'kill -9 the broker, start it again': 'closed',
  'SIGSTOP the broker': 'stopped',
  'TCP to the broker cut without FIN': 'cut',
  'the cluster loses its first node': 'node',
  'the cluster loses its second node': 'node',
  'the cluster loses its third node': 'node',
};

/** How this fault takes the broker away; undefined when it does not. */
export function lossBy(name: string): Loss | undefined {
  return LOSSES[name];
}

/** A node of a cluster is killed, and started again. */
function loseNode(index: number): Fault {
  return async ({ brokers }, { times }) => {
    await brokers[index]?.kill();
    await pause(times.stoppedMs);
    await brokers[index]?.start();
  };
}

/** For a cluster of three instead. */
export const CLUSTER_FAULTS = {
  'the cluster loses its first node': loseNode(0),
  'the cluster loses its second node': loseNode(1),
  'the cluster loses its third node': loseNode(2),
} as const satisfies Record<string, Fault>;
