/**
 * Prometheus: a real one that scrapes a node of a test, and answers queries.
 * From: a folder with its configuration.  To: its HTTP API, on loopback.
 * Bound: it ends with `stop`, at the latest with this process.
 */
import { join } from 'node:path';
import { quietPort } from '../loopback.ts';
import { type Tied, tieServer } from './tied.ts';

/** One series of an answer. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export class Prometheus {
  readonly #tied: Tied;
  readonly #url: string;

  private constructor(tied: Tied, url: string) {
    this.#tied = tied;
    this.#url = url;
  }

  /** `folder` has prometheus.yml, and gets what it stores. Resolves when it answers. */
  static async start(folder: string): Promise<Prometheus> {
    const port = await quietPort();
    const command = [
      'prometheus',
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const url = `http://127.0.0.1:${port}`;
    const tied = await tieServer(command, folder, async () => {
      const response = await fetch(`${url}/-/ready`).catch(() => undefined);
      return response?.ok === true;
    });
    return new Prometheus(tied, url);
  }

  async ask(path: string, parameters: Record<string, string> = {}): Promise<unknown> {
    const url = new URL(`/api/v1/${path}`, this.#url);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const answer = await (await fetch(url)).json();
    const { status, data, error } = answer as Record<string, unknown>;
    if (status !== 'success') throw new Error(`${url.search}: ${error}`);
    return data;
  }

  /** All series of the answer, as of now. */
  async query(query: string): Promise<readonly Sample[]> {
    const data = (await this.ask('query', { query })) as { result: readonly Sample[] };
    return data.result;
  }

  stop(): Promise<void> {
    return this.#tied.end('SIGKILL');
  }
}
