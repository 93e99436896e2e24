/**
 * Ask: questions to the node, and the token that some of them need.
 * From: the parts of the page.  To: the HTTP API of the address that the page came from.
 * Bound: an answer is waited for TIMEOUT_MS. The token is in this variable only: neither in the
 * address, nor in storage, nor in the document.
 */
const TIMEOUT_MS = 15_000;
const NEEDS_TOKEN = 401;

let token = '';

/** What the node refused, in its own sentence. */
export class RefusedError extends Error {
  constructor(status, message, answer) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

export function hasToken() {
  return token !== '';
}

/** '': forget it. */
export function setToken(given) {
  token = given;
  document.dispatchEvent(new CustomEvent('token'));
}

/** Rejects with a RefusedError, or as `fetch` does. */
export async function send(path, { method = 'GET', body, signal } = {}) {
  const headers = {};
  if (token !== '') headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(`api/v1/${path}`, {
    ...{ method, headers, signal, cache: 'no-store', redirect: 'error', credentials: 'omit' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const sentence = answer.error ?? `the node answered with ${response.status}`;
  throw new RefusedError(response.status, sentence, answer);
}

export async function ask(path, options = {}) {
  const response = await send(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  return response.json();
}

/** Rejects with a RefusedError unless the node accepts the token. */
export async function checkToken() {
  await send('token', { signal: AbortSignal.timeout(TIMEOUT_MS) });
}

/** It was refused for want of the right token. */
export function needsToken(error) {
  return error instanceof RefusedError && error.status === NEEDS_TOKEN;
}

/** Instead of an answer. */
export function notSaid(error) {
  return `It cannot be said now: ${whyOf(error)}.`;
}

/** Why it failed, as a sentence. */
export function whyOf(error) {
  if (error instanceof RefusedError) return error.message;
  return error.name === 'TimeoutError' ? 'the node did not answer in time' : 'no connection';
}
