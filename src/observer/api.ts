/**
 * Api: the questions of control.sock over HTTP, as JSON under /api/v1.
 * From: HTTP requests that adminGuard.ts has let pass.  To: nodeQuestions.ts; whoever changes
 * something is named in the log by address and port.
 * Bound: admin.ts's and guests.ts's, and those of the questions. What is wrong with a request is
 * one sentence: 400; a device that is not connected: 404; somebody who had to answer did not: 503.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { DEVICE_ID, DEVICE_ID_RULE } from '../base/names.ts';
import { ChannelError } from '../node/channel.ts';
import type { DisconnectAnswer, LinkAnswer } from '../node/linkFacts.ts';
import type { NodeAnswers } from './nodeQuestions.ts';

const ROOT = '/api/v1';

/** What of a question is at fault, besides those who do not answer. */
const CODES: Readonly<Record<string, number>> = { bad: 400, unknown: 404, 'too-long': 413 };
const SILENT = 503;

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;
type Asks = FastifyRequest<{ Params: { device: string }; Querystring: Query }>;

/** Add the paths. */
export function addApi(admin: FastifyInstance, answers: NodeAnswers): void {
  void admin.register(
    async (api) => {
      api.setErrorHandler(onApiError);
      api.setNotFoundHandler((_, reply) =>
        reply.code(404).send({ error: 'there is no such path' }),
      );
      addReads(api, answers);
      addChanges(api, answers);
    },
    { prefix: ROOT },
  );
}

function addReads(api: FastifyInstance, answers: NodeAnswers): void {
  const ask = askerOf(answers);
  // Whether a token is the right one, before anything is done with it.
  api.get('/token', { config: { needsToken: true } }, (_, reply) => reply.code(204).send());
  api.get('/status', (request: Asks) => ask(request, 'status', null));
  api.get('/links', (request: Asks) => {
    const { after, limit, where, sort } = request.query;
    return ask(request, 'links', given({ after, limit: wholeIn(limit, 'limit'), where, sort }));
  });
  api.get('/links/:device', async (request: Asks, reply) => {
    const answer = (await ask(request, 'link', { device: deviceIn(request) })) as LinkAnswer;
    return found(answer, answer.links.length, reply);
  });
  api.get('/closed', (request: Asks) => {
    const { device, before, limit, where, by } = request.query;
    const numbers = { before: wholeIn(before, 'before'), limit: wholeIn(limit, 'limit') };
    return ask(request, 'closed', given({ device, ...numbers, where, by }));
  });
  api.get('/blocked', (request: Asks) => {
    const { after = '' } = request.query;
    return ask(request, 'blocked', { after });
  });
}

function addChanges(api: FastifyInstance, answers: NodeAnswers): void {
  const ask = askerOf(answers);
  api.post('/links/:device/disconnect', async (request: Asks, reply) => {
    const { retryAfterMs } = bodyOf(request, ['retryAfterMs']);
    const asked = given({ device: deviceIn(request), retryAfterMs });
    const answer = (await ask(request, 'disconnect', asked)) as DisconnectAnswer;
    return found(answer, answer.disconnected, reply);
  });
  api.post('/blocked/:device', async (request: Asks, reply) => {
    const { note } = bodyOf(request, ['note']);
    const asked = given({ device: deviceIn(request), note });
    const answer = (await ask(request, 'block', asked)) as { readonly outcome: string };
    return reply.code(answer.outcome === 'full' ? 507 : 200).send(answer);
  });
  api.delete('/blocked/:device', (request: Asks) =>
    ask(request, 'unblock', { device: deviceIn(request) }),
  );
  for (const what of ['drain', 'resume', 'reload']) {
    api.post(`/node/${what}`, (request: Asks) => {
      bodyOf(request, []);
      return ask(request, what, {});
    });
  }
}

function askerOf(answers: NodeAnswers) {
  return async (request: Asks, kind: string, body: unknown): Promise<unknown> => {
    return answers[kind]?.(body, guestOf(request));
  };
}

/** Who asks, for the log. */
export function guestOf({ socket }: Pick<FastifyRequest, 'socket'>): string {
  return `http ${socket.remoteAddress} ${socket.remotePort}`;
}

/** Not there; or, as long as somebody is silent, perhaps there. */
function found(answer: LinkAnswer | DisconnectAnswer, links: number, reply: FastifyReply) {
  if (links > 0) return answer;
  const silent = answer.missing.map(({ acceptor }) => `acceptor ${acceptor}`).join(', ');
  if (silent === '') return reply.code(404).send({ error: 'it is not connected', ...answer });
  return reply.code(SILENT).send({ error: `not found, but ${silent} did not answer`, ...answer });
}

function deviceIn({ params }: Asks): string {
  if (DEVICE_ID.test(params.device)) return params.device;
  throw new ChannelError('bad', DEVICE_ID_RULE);
}

function wholeIn(text: Query[string], name: string): number | undefined {
  if (text === undefined) return undefined;
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  throw new ChannelError('bad', `${name} is a whole number`);
}

/** An object with no other keys, or nothing at all. */
function bodyOf({ body }: Asks, keys: readonly string[]): Readonly<Record<string, unknown>> {
  if (body === undefined || body === null || body === '') return {};
  const isObject = typeof body === 'object' && !Array.isArray(body);
  const unknown = isObject ? Object.keys(body).find((key) => !keys.includes(key)) : '';
  if (unknown === undefined) return body as Readonly<Record<string, unknown>>;
  const may = keys.length === 0 ? 'is empty' : `has ${keys.join(', ')} and nothing else`;
  throw new ChannelError('bad', `the body ${may}, as JSON`);
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Answers with what went wrong. */
export function onApiError(error: unknown, _: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ChannelError) {
    return reply.code(CODES[error.why] ?? SILENT).send({ error: error.message });
  }
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  return reply.code(statusCode).send({ error: statusCode < 500 ? message : 'it failed' });
}
