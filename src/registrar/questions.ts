/**
 * Questions: what the registrar answers to the observer: where a device is. Who is blocked, that
 * blockedDevices.ts answers.
 * From: the node's channel (channel.ts).  To: the store, and who lives.
 * Bound: channel.ts's; a row each. What acceptors have told and is not recorded yet is not known.
 */
import type { AnswersByKind } from '../node/channel.ts';
import { ChannelError } from '../node/channel.ts';
import type { Recorder } from './presence/recorder.ts';
import type { HeldLink } from './store/presenceRules.ts';
import type { Store } from './store/store.ts';

/** By kind. `where {device}`: the link of a connected device and its acceptor, or null. */
export function registrarQuestions(
  store: Pick<Store, 'read'>,
  recorder: Pick<Recorder, 'isLive'>,
): AnswersByKind {
  const where = async (body: unknown): Promise<HeldLink | null> => {
    const [row] = await store.read([deviceIn(body)]);
    // The rows of an acceptor that has ended say online until they are swept.
    if (row?.online !== true || !recorder.isLive(row.acceptor)) return null;
    const { acceptor, connection } = row;
    return { acceptor, connection };
  };
  return { where };
}

function deviceIn(body: unknown): string {
  const { device } = (body ?? {}) as { readonly device?: unknown };
  if (typeof device === 'string') return device;
  throw new ChannelError('bad', 'device is a string');
}
