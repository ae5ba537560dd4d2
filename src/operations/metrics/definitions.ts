/**
 * Every metric of the service itself: name, type, labels, meaning. `docs/metrics.md` holds the same table, the dashboard and
 * the alerts of `deploy/` may use no other names, and a test keeps all of them equal to what a scrape really shows. Beside
 * these stand the metrics of the process that the client library has (`process_`, `nodejs_`).
 *
 * Labels have few values, known beforehand: never an id, a URL or a text that comes from a client.
 */
export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Is there only with a real Redis and database, or only with a change feed. */
  readonly needs?: 'servers' | 'feed';
}

export const definitions = {
  energex_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels tell which version runs on which Node.js',
    labels: ['version', 'node'],
  },
  energex_http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the arrival of a request until its answer was handed to the connection',
    labels: ['method', 'route', 'status'],
  },
  energex_http_requests_shed_total: {
    type: 'counter',
    help: 'Requests that were refused because the event loop or connections to the database were late, and connections that were one too many',
    labels: ['reason'],
  },
  energex_cache_requests_total: {
    type: 'counter',
    help: 'Reads through the cache, by where their answer came from',
    labels: ['resource', 'tier', 'result'],
  },
  energex_cache_bypasses_total: {
    type: 'counter',
    help: 'Reads that went to the database without filling the cache, by why',
    labels: ['reason'],
  },
  energex_cache_collapsed_requests_total: {
    type: 'counter',
    help: 'Reads that were answered by the work of another read in the same process',
    labels: [],
  },
  energex_cache_lease_wait_duration_seconds: {
    type: 'histogram',
    help: 'How long readers waited for another instance to load',
    labels: [],
  },
  energex_cache_fill_duration_seconds: {
    type: 'histogram',
    help: 'How long loading a value from the database took, for values that were stored',
    labels: [],
  },
  energex_cache_fills_rejected_total: {
    type: 'counter',
    help: 'Loaded values that were not stored, by why',
    labels: ['reason'],
  },
  energex_cache_refreshes_total: {
    type: 'counter',
    help: 'Values that were loaded anew before they expired',
    labels: [],
  },
  energex_cache_invalidations_total: {
    type: 'counter',
    help: 'Names that were invalidated; a resource that is cleared as a whole counts as one',
    labels: ['source'],
  },
  energex_cache_unreached_steps_total: {
    type: 'counter',
    help: 'Fences, releases and invalidations that did not reach Redis; their names went into the outbox',
    labels: ['step'],
  },
  energex_cache_audits_total: {
    type: 'counter',
    help: 'Hits that were compared with the database',
    labels: [],
  },
  energex_cache_audit_differences_total: {
    type: 'counter',
    help: 'Hits that were not what the database held; each is a fault, and was invalidated',
    labels: [],
  },
  energex_cache_damaged_values_total: {
    type: 'counter',
    help: 'Values in Redis that were not what had been stored; each was taken away, and is loaded anew',
    labels: [],
  },
  energex_cache_memory_bytes: {
    type: 'gauge',
    help: 'What the in-process tier holds',
    labels: [],
  },
  energex_cache_memory_evictions_total: {
    type: 'counter',
    help: 'Entries of the in-process tier that had to make room for others',
    labels: [],
  },
  energex_redis_up: {
    type: 'gauge',
    help: '1 while Redis is in use, 0 while reads go to the database',
    labels: [],
    needs: 'servers',
  },
  energex_redis_command_duration_seconds: {
    type: 'histogram',
    help: 'Commands that went out together count once, by the first; scripts by their name in lua/',
    labels: ['command'],
    needs: 'servers',
  },
  energex_mysql_query_duration_seconds: {
    type: 'histogram',
    help: 'Statements, from when they are sent until their answer is there',
    labels: ['operation'],
    needs: 'servers',
  },
  energex_mysql_query_errors_total: {
    type: 'counter',
    help: 'Statements that failed, refused ones (constraints, deadlocks) included',
    labels: ['operation'],
    needs: 'servers',
  },
  energex_mysql_replicated_loads_total: {
    type: 'counter',
    help: 'Loads while there are replicas, by who answered: a replica, or the primary because none had come so far (behind), or because nobody knew how far (unknown)',
    labels: ['answer'],
    needs: 'servers',
  },
  energex_mysql_pool_connections: {
    type: 'gauge',
    help: 'Connections that are used or idle; requests that are waiting for one',
    labels: ['state'],
    needs: 'servers',
  },
  energex_change_feed_lag_seconds: {
    type: 'gauge',
    help: 'How long ago the end of the log was where the feed is now; only on the instance that follows',
    labels: [],
    needs: 'feed',
  },
  energex_change_feed_state: {
    type: 'gauge',
    help: '1 for the state that the feed of this instance is in',
    labels: ['state'],
    needs: 'feed',
  },
  energex_change_feed_rows_total: {
    type: 'counter',
    help: 'Changed rows that took effect',
    labels: [],
    needs: 'feed',
  },
  energex_change_feed_clearings_total: {
    type: 'counter',
    help: 'Times that all of a resource was invalidated because it was not known what had changed',
    labels: [],
    needs: 'feed',
  },
  energex_ws_connections: {
    type: 'gauge',
    help: 'Clients that are connected for live events',
    labels: [],
  },
  energex_ws_recoveries_total: {
    type: 'counter',
    help: 'Clients that named a last position, by whether all that they had missed was still there',
    labels: ['result'],
  },
  energex_ws_events_total: {
    type: 'counter',
    help: 'Events that went out to the clients of this process, each once however many heard it',
    labels: [],
  },
  energex_ws_cuts_total: {
    type: 'counter',
    help: 'Clients that were disconnected because they were too slow or sent too much',
    labels: ['reason'],
  },
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof definitions;
export type NameOf<T extends Definition['type']> = {
  [N in MetricName]: (typeof definitions)[N]['type'] extends T ? N : never;
}[MetricName];

/** Every name, in the order of the table. */
export function metricNames(): MetricName[] {
  // The keys of an object literal that nobody adds to are exactly the names of its type.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.keys(definitions) as MetricName[];
}

/** Upper bounds in seconds: from a hit in memory, some 20 us, to a rebuild of a long list, some 2 s. */
export const durationBuckets: readonly number[] = [
  0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
];
