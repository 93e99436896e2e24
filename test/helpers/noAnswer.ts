/** Why a question on a channel has no answer, as `why: sentence`; or the answer. */
import { type Asker, ChannelError } from '../../src/node/channel.ts';

export async function noAnswer(answer: Promise<unknown>): Promise<string> {
  try {
    return `answered: ${JSON.stringify(await answer)}`;
  } catch (error) {
    if (error instanceof ChannelError) return `${error.why}: ${error.message}`;
    throw error;
  }
}

/** Only the reason's name. */
export async function whyOf(answer: Promise<unknown>): Promise<string> {
  return (await noAnswer(answer)).split(':')[0] ?? '';
}

/** Who asks without a channel: nothing that follows an answer reaches anybody. */
export const NOBODY_ASKS: Asker = {
  notify: () => false,
  say: () => false,
  whenClosed: () => () => {},
};
