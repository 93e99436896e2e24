/** Told: a forked script that answers each message with one of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

export class Told {
  readonly #child: ChildProcess;
  readonly #file: string;

  /** `file`: of this folder, or its whole path. */
  constructor(file: string, args: readonly string[] = []) {
    this.#file = file;
    this.#child = fork(resolve(import.meta.dirname, file), args);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Its next message. Rejects with what it says of an error, and when it ends instead. */
  async next<Answer>(): Promise<Answer> {
    const ending = new AbortController();
    const { signal } = ending;
    try {
      const [answer] = (await Promise.race([
        once(this.#child, 'message', { signal }),
        once(this.#child, 'exit', { signal }).then(() => {
          throw new Error(`${this.#file} ended`);
        }),
      ])) as [Answer & { error?: string }];
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    } finally {
      ending.abort();
    }
  }

  ask<Answer>(message: object): Promise<Answer> {
    this.#child.send(message);
    return this.next<Answer>();
  }

  /** Of a script that does its work, tells the result, and is not needed any more. */
  static async result<Answer>(file: string, args: readonly string[]): Promise<Answer> {
    const told = new Told(file, args);
    try {
      return await told.next<Answer>();
    } finally {
      await told.stop();
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
