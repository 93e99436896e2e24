/** Benched processes as the harness sees them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { FromServer, Usage } from './serverMain.ts';

export class Server {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(file: string, amqp = '', prefix = 'bench'): Promise<Server> {
    const child = fork(new URL(file, import.meta.url), [amqp, prefix], {
      execArgv: ['--expose-gc'],
    });
    const [first] = (await once(child, 'message')) as [FromServer];
    if (!('port' in first)) throw new Error(`${file} did not tell its port`);
    return new Server(child, first.port);
  }

  /** CPU time and memory now; 'collect' asks for a garbage collection first. */
  async usage(how: 'usage' | 'collect' = 'usage'): Promise<Usage> {
    this.#child.send(how);
    const [answer] = (await once(this.#child, 'message')) as [FromServer];
    if (!('usage' in answer)) throw new Error('no usage came');
    return answer.usage;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** Run a client script to its end; its one message is the result. */
export async function runClient<R>(file: string, args: readonly string[]): Promise<R> {
  const child = fork(new URL(file, import.meta.url), args);
  const [result] = (await once(child, 'message')) as [R];
  child.disconnect();
  await once(child, 'exit');
  return result;
}
