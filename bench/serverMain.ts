/** What the benched server processes share: start, tell usage when asked, end with the parent. */

export interface ServerOptions {
  readonly amqp: string;
  readonly prefix: string;
}

export interface Usage {
  /** User and system time, in microseconds. */
  readonly cpuUs: number;
  readonly rssBytes: number;
}

export type FromServer = { readonly port: number } | { readonly usage: Usage };

/** Run `start` with the parent's options and tell it the port; answer each 'usage' with figures. */
export async function serve(start: (options: ServerOptions) => Promise<number>): Promise<void> {
  const [amqp = '', prefix = 'bench'] = process.argv.slice(2);
  process.on('disconnect', () => process.exit());
  process.on('message', (ask) => {
    if (ask === 'collect') globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const usage = { cpuUs: user + system, rssBytes: process.memoryUsage.rss() };
    process.send?.({ usage } satisfies FromServer);
  });
  const port = await start({ amqp, prefix });
  process.send?.({ port } satisfies FromServer);
}
