/**
 * EndIdle: how the connections of a socket end that is being closed: whoever has connected may
 * still ask, and what was asked is answered.
 * From: adminSocket.ts and control.ts, which take nobody any more.  To: their connections.
 * Bound: LINGER_MS without a question; END_MS for all of it. Whoever is left then is theirs to cut.
 */
import type { Socket } from 'node:net';
import { within } from '../node/drain.ts';

/** Whoever has connected asks within this time, or again and again. */
export const LINGER_MS = 250;
/** For answers under way. */
const END_MS = 2_000;
const LOOK_MS = 20;

/** A connection: how many of its questions are not answered; when it last had one, or came. */
export interface Use {
  open: number;
  restsAt: number;
}

/** Resolves with `closed`: none is left; or without it. */
export async function endIdle(
  uses: () => Iterable<readonly [Socket, Use]>,
  closed: Promise<unknown>,
): Promise<void> {
  const look = () => {
    const before = performance.now() - LINGER_MS;
    for (const [socket, { open, restsAt }] of uses()) {
      if (open === 0 && restsAt <= before) socket.destroySoon();
    }
  };
  const looking = setInterval(look, LOOK_MS);
  look();
  await within(END_MS, closed);
  clearInterval(looking);
}
