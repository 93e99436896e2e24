/**
 * Topics: which topics a device may publish to, as AMQP patterns. Pure.
 * From: `topics` of a listener, or of a proof.  To: Endpoint, for each EVENT and REQUEST.
 * Bound: words of the pattern times words of the topic, for each pattern.
 */
import type { TopicFilter } from '../endpoint/proof.ts';

/** `*` is one word, `#` none or more. Undefined for no patterns: all topics are allowed. */
export function topicFilter(patterns: readonly string[]): TopicFilter | undefined {
  return patterns.length === 0 ? undefined : filterOf([patterns]);
}

/** What a listener allows, and of it what a backend has said; an empty list of its is nothing. */
export function bothFilters(
  ours: TopicFilter | undefined,
  said: readonly string[] | undefined,
): TopicFilter | undefined {
  return said === undefined ? ours : filterOf([...(ours?.patterns ?? []), said]);
}

/** Of each list one pattern must match; an empty list matches nothing. */
export function filterOf(patterns: TopicFilter['patterns']): TopicFilter {
  const lists = patterns.map((list) => list.map((pattern) => pattern.split('.')));
  return {
    patterns,
    allows: (topic) => {
      const words = topic.split('.');
      return lists.every((list) => matchesAny(list, words));
    },
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
