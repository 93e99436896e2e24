/**
 * WatchQuestions: `trace` and `live`, as people ask them at control.sock.
 * From: control.ts.  To: nodeTraces.ts, whose entries follow as notices; live.ts.
 * Bound: theirs. A trace ends with its asker's connection.
 */
import type { AnswersByKind, Asker } from '../node/channel.ts';
import type { TraceEnd } from '../node/traceEntry.ts';
import type { Live } from './live.ts';
import type { NodeTraces } from './nodeTraces.ts';

export interface Watches {
  readonly traces: Pick<NodeTraces, 'begin'>;
  readonly live: Pick<Live, 'read'>;
}

/** Node does not say which process is at the other end; its user or root, by the file's mode. */
const WHO = 'control.sock';

export function watchQuestions({ traces, live }: Watches): AnswersByKind {
  return {
    live: () => live.read(),
    trace: async (body: unknown, asker: Asker) => {
      const sink = {
        take: (entries: readonly string[]) => asker.notify('trace', { entries }),
        end: (end: TraceEnd) => asker.say('traced', end),
      };
      const [answer, leave] = await traces.begin(body, sink, WHO);
      asker.whenClosed(leave);
      return answer;
    },
  };
}
