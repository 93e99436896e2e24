/**
 * OwnProtocols: the protocol modules that listeners name, loaded into this acceptor.
 * From: child.ts, before the acceptor is made.  To: acceptor.ts, beside those that are built in.
 * Bound: one for each path. Each was proved before any acceptor started; one that cannot be loaded
 * now costs its listener: its links are refused, and the node says that it is degraded.
 */
import type { Config } from '../base/config.ts';
import { isModule } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import { firstLine, loadModule, moduleFactory } from '../wire/module/loadModule.ts';
import type { ProtocolFactory, Protocols } from '../wire/protocol.ts';
import { builtIn } from '../wire/protocols.ts';

export interface OwnProtocols {
  readonly protocols: Protocols;
  /** Those that are missing, and why. */
  readonly faults: readonly string[];
}

/** Those of Owsla itself that these listeners speak. */
export function ownOf(listeners: Config['listeners']): Promise<Protocols> {
  return builtIn(listeners.map(({ protocol }) => protocol));
}

export async function loadProtocols(
  { listeners, limits }: Pick<Config, 'listeners' | 'limits'>,
  log: Pick<Logger, 'error'>,
): Promise<OwnProtocols> {
  const protocols = new Map<string, ProtocolFactory>(await ownOf(listeners));
  const faults: string[] = [];
  for (const { protocol: path, name } of listeners) {
    if (!isModule(path) || protocols.has(path)) continue;
    try {
      protocols.set(path, moduleFactory(await loadModule(path, limits.frameBytesMax)));
    } catch (error) {
      const reason = firstLine(error);
      faults.push(reason);
      log.error({ listener: name, reason }, 'its links are refused');
      protocols.set(path, missing(path, reason));
    }
  }
  return { protocols, faults };
}

/** Its links end with their first bytes. */
function missing(path: string, reason: string): ProtocolFactory {
  const connect = () => {
    throw new Error(reason);
  };
  const capabilities = {
    ...{ events: false, acknowledgements: false, requests: false },
    ...({ commands: 'none', keepalive: 'none' } as const),
  };
  return moduleFactory({ path, protocol: { name: 'missing', capabilities, connect } });
}
