/**
 * Topics: which topics a device may publish to, as AMQP patterns. Pure.
 * From: `topics` of a listener, or of a proof.  To: Endpoint, for each EVENT and REQUEST.
 * Bound: words of the pattern times words of the topic, for each pattern.
 */
import type { TopicFilter } from '../endpoint/proof.ts';

/** `*` is one word, `#` none or more. Undefined for no patterns: all topics are allowed. */
export function topicFilter(patterns: readonly string[]): TopicFilter | undefined {
  if (patterns.length === 0) return undefined;
  const split = patterns.map((pattern) => pattern.split('.'));
  return { patterns: [patterns], allows: (topic) => matchesAny(split, topic.split('.')) };
}

/** What a listener allows, and of it what a backend has said; an empty list of its is nothing. */
export function bothFilters(
  ours: TopicFilter | undefined,
  said: readonly string[] | undefined,
): TopicFilter | undefined {
  if (said === undefined) return ours;
  const theirs = topicFilter(said);
  return {
    patterns: [...(ours?.patterns ?? []), said],
    allows: (topic) => theirs?.allows(topic) === true && ours?.allows(topic) !== false,
  };
}

function matchesAny(patterns: readonly (readonly string[])[], words: readonly string[]): boolean {
  return patterns.some((pattern) => matches(pattern, words));
}

/** For each word of the pattern, how many words of the topic may have been taken by then. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
  let taken = new Set([0]);
  for (const part of pattern) {
    const next = new Set<number>();
    for (const count of taken) {
      if (part === '#') for (let at = count; at <= words.length; at += 1) next.add(at);
      else if (count < words.length && (part === '*' || part === words[count])) next.add(count + 1);
    }
    taken = next;
  }
  return taken.has(words.length);
}
