/** The Grafana dashboard `deploy/grafana/energex-cache.json`: what each panel shows, and the JSON that Grafana imports. */

interface Panel {
  readonly title: string;
  /** What to look for. */
  readonly description: string;
  /** Expressions with the legends of their series. */
  readonly series: readonly (readonly [expression: string, legend: string])[];
  readonly unit: 's' | 'bytes' | 'reqps' | 'percentunit' | 'short';
  /** One number instead of a graph. */
  readonly isStat?: boolean;
}

const where = 'job="$job", instance=~"$instance"';
const rate = (name: string, more = ''): string => `rate(${name}{${where}${more}}[$__rate_interval])`;
const quantile = (share: number, name: string, by: string): string =>
  `histogram_quantile(${share}, sum by (${by}) (${rate(`${name}_bucket`)}))`;
const requests = 'energex_cache_requests_total';
const durations = 'energex_http_request_duration_seconds';

const rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: 'At a glance',
    panels: [
      {
        title: 'Requests',
        description: 'All requests that were answered, of all instances.',
        series: [[`sum(${rate(`${durations}_count`)})`, 'requests']],
        unit: 'reqps',
        isStat: true,
      },
      {
        title: 'Hit ratio',
        description: 'Reads that were answered from memory or Redis.',
        series: [[`sum(${rate(requests, ', result=~"hit|negative_hit"')}) / sum(${rate(requests)})`, 'hits']],
        unit: 'percentunit',
        isStat: true,
      },
      {
        title: 'Redis in use',
        description: 'Instances whose Redis is in use. The others read from the database.',
        series: [[`sum(energex_redis_up{${where}})`, 'in use']],
        unit: 'short',
        isStat: true,
      },
      {
        title: 'Wrong or damaged',
        description:
          'Hits that were not what the database held: anything but 0 is a fault. Values in Redis that were not what had been stored, and were taken away: another program, or the memory of that server.',
        series: [
          [`sum(energex_cache_audit_differences_total{${where}})`, 'wrong'],
          [`sum(energex_cache_damaged_values_total{${where}})`, 'damaged'],
        ],
        unit: 'short',
        isStat: true,
      },
    ],
  },
  {
    title: 'Requests',
    panels: [
      {
        title: 'Rate by route and status',
        description: '`none` is what no route has.',
        series: [[`sum by (method, route, status) (${rate(`${durations}_count`)})`, '{{method}} {{route}} {{status}}']],
        unit: 'reqps',
      },
      {
        title: 'Duration of reads',
        description: 'Hits take some 50 us, loads some milliseconds.',
        series: [0.5, 0.99].map((share) => [
          `histogram_quantile(${share}, sum by (le) (${rate(`${durations}_bucket`, ', method="GET"')}))`,
          `p${share * 100}`,
        ]),
        unit: 's',
      },
      {
        title: 'Server errors',
        description: 'Share of answers with a status of 500 or more.',
        series: [
          [
            `(sum(${rate(`${durations}_count`, ', status=~"5.."')}) or vector(0)) / sum(${rate(`${durations}_count`)})`,
            'errors',
          ],
        ],
        unit: 'percentunit',
      },
    ],
  },
  {
    title: 'Cache',
    panels: [
      {
        title: 'Where reads are answered',
        description: 'memory and store are hits; neighbour shared the work of another read.',
        series: [[`sum by (tier, result) (${rate(requests)})`, '{{tier}} {{result}}']],
        unit: 'reqps',
      },
      {
        title: 'Loading a value',
        description: 'From the database, for values that were stored.',
        series: [0.5, 0.99].map((share) => [
          quantile(share, 'energex_cache_fill_duration_seconds', 'le'),
          `p${share * 100}`,
        ]),
        unit: 's',
      },
      {
        title: 'Past the cache',
        description: 'Reads that did not fill, values that were not stored, steps that did not reach Redis.',
        series: [
          [`sum by (reason) (${rate('energex_cache_bypasses_total')})`, 'bypass: {{reason}}'],
          [`sum by (reason) (${rate('energex_cache_fills_rejected_total')})`, 'not stored: {{reason}}'],
          [`sum by (step) (${rate('energex_cache_unreached_steps_total')})`, 'not reached: {{step}}'],
        ],
        unit: 'reqps',
      },
      {
        title: 'Invalidations and refreshes',
        description: 'By who told of the change.',
        series: [
          [`sum by (source) (${rate('energex_cache_invalidations_total')})`, '{{source}}'],
          [`sum(${rate('energex_cache_refreshes_total')})`, 'refreshed ahead'],
        ],
        unit: 'reqps',
      },
      {
        title: 'Sharing',
        description: 'Reads that were answered by the work of another, and what waiting for another instance took.',
        series: [
          [`sum(${rate('energex_cache_collapsed_requests_total')})`, 'collapsed'],
          [`sum(${rate('energex_cache_lease_wait_duration_seconds_count')})`, 'waited for another instance'],
          [`sum(${rate('energex_cache_audits_total')})`, 'audits'],
        ],
        unit: 'reqps',
      },
      {
        title: 'In-process tier',
        description: 'Bounded by MEMORY_TIER_MB.',
        series: [[`energex_cache_memory_bytes{${where}}`, '{{instance}} {{worker}}']],
        unit: 'bytes',
      },
      {
        title: 'Evictions of the in-process tier',
        description: 'Many a second: what is asked for does not fit into MEMORY_TIER_MB, and comes from Redis.',
        series: [[rate('energex_cache_memory_evictions_total'), '{{instance}} {{worker}}']],
        unit: 'short',
      },
    ],
  },
  {
    title: 'Redis and database',
    panels: [
      {
        title: 'Redis commands, p99',
        description: 'Past REDIS_TIMEOUT_MS a command counts as lost.',
        series: [[quantile(0.99, 'energex_redis_command_duration_seconds', 'le, command'), '{{command}}']],
        unit: 's',
      },
      {
        title: 'Statements, p99',
        description: 'Of each kind.',
        series: [[quantile(0.99, 'energex_mysql_query_duration_seconds', 'le, operation'), '{{operation}}']],
        unit: 's',
      },
      {
        title: 'Statements',
        description: 'And those that failed.',
        series: [
          [`sum by (operation) (${rate('energex_mysql_query_duration_seconds_count')})`, '{{operation}}'],
          [`sum(${rate('energex_mysql_query_errors_total')})`, 'failed'],
        ],
        unit: 'reqps',
      },
      {
        title: 'Refused for overload',
        description:
          'Requests that were answered 503 at once, by what was late: the event loop, or connections to the database.',
        series: [[`sum by (reason) (${rate('energex_http_requests_shed_total')})`, '{{reason}}']],
        unit: 'reqps',
      },
      {
        title: 'Connections to the database',
        description: 'Requests that wait for one are a sign of a pool that is too small, or of slow statements.',
        series: [[`sum by (state) (energex_mysql_pool_connections{${where}})`, '{{state}}']],
        unit: 'short',
      },
      {
        title: 'Loads with read replicas',
        description:
          'By who answered: a replica, or the primary because none had come so far, or because nobody knew how far.',
        series: [[`sum by (answer) (${rate('energex_mysql_replicated_loads_total')})`, '{{answer}}']],
        unit: 'reqps',
      },
    ],
  },
  {
    title: 'Change feed and live events',
    panels: [
      {
        title: 'Lag of the change feed',
        description: 'On the instance that follows.',
        series: [[`energex_change_feed_lag_seconds{${where}}`, '{{instance}} {{worker}}']],
        unit: 's',
      },
      {
        title: 'Change feed',
        description: 'The states of all instances: one follows, the others are electing. And what it has told.',
        series: [
          [`sum by (state) (energex_change_feed_state{${where}})`, '{{state}}'],
          [`sum(${rate('energex_change_feed_rows_total')})`, 'rows per second'],
          [`sum(${rate('energex_change_feed_clearings_total')})`, 'clearings per second'],
        ],
        unit: 'short',
      },
      {
        title: 'Live connections',
        description: 'Of each instance.',
        series: [[`sum by (instance) (energex_ws_connections{${where}})`, '{{instance}}']],
        unit: 'short',
      },
      {
        title: 'Live events',
        description: 'Events that went out, clients that came back, clients that were cut.',
        series: [
          [`sum(${rate('energex_ws_events_total')})`, 'events'],
          [`sum by (result) (${rate('energex_ws_recoveries_total')})`, 'came back: {{result}}'],
          [`sum by (reason) (${rate('energex_ws_cuts_total')})`, 'cut: {{reason}}'],
        ],
        unit: 'reqps',
      },
    ],
  },
  {
    title: 'Process',
    panels: [
      {
        title: 'Delay of the event loop, p99',
        description: 'Everything waits for so long.',
        series: [[`nodejs_eventloop_lag_p99_seconds{${where}}`, '{{instance}} {{worker}}']],
        unit: 's',
      },
      {
        title: 'Processor',
        description: 'One process uses one processor at most, and a little for collecting garbage.',
        series: [[rate('process_cpu_seconds_total'), '{{instance}} {{worker}}']],
        unit: 'percentunit',
      },
      {
        title: 'Memory',
        description: 'Of the process, as the system counts it.',
        series: [[`process_resident_memory_bytes{${where}}`, '{{instance}} {{worker}}']],
        unit: 'bytes',
      },
      {
        title: 'Versions',
        description: 'What runs.',
        series: [[`count by (version, node) (energex_build_info{${where}})`, '{{version}} on {{node}}']],
        unit: 'short',
      },
    ],
  },
];

const wide = 24;

/** The JSON of the dashboard, as Grafana imports and exports it. */
export function renderDashboard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const row of rows) {
    panels.push({ id: panels.length + 1, type: 'row', title: row.title, gridPos: { x: 0, y, w: wide, h: 1 } });
    y += 1;
    const isStats = row.panels.every(({ isStat }) => isStat === true);
    const perLine = isStats ? 4 : 3;
    const [w, h] = [wide / perLine, isStats ? 4 : 8];
    row.panels.forEach((panel, index) => {
      const gridPos = { x: (index % perLine) * w, y: y + Math.floor(index / perLine) * h, w, h };
      panels.push({ id: panels.length + 1, ...toPanel(panel), gridPos });
    });
    y += Math.ceil(row.panels.length / perLine) * h;
  }
  const dashboard = {
    uid: 'energex-cache',
    title: 'EnergeX Cache Service',
    tags: ['energex'],
    schemaVersion: 39,
    editable: true,
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    templating: { list: variables },
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

/** The expressions of all panels. */
export function dashboardExpressions(): readonly string[] {
  return rows.flatMap(({ panels }) => panels.flatMap(({ series }) => series.map(([expression]) => expression)));
}

const datasource = { type: 'prometheus', uid: '${datasource}' };

const variables = [
  { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
  {
    name: 'job',
    type: 'query',
    datasource,
    query: 'label_values(energex_build_info, job)',
    refresh: 2,
    current: { text: 'energex-cache', value: 'energex-cache' },
  },
  {
    name: 'instance',
    type: 'query',
    datasource,
    query: 'label_values(energex_build_info{job="$job"}, instance)',
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  },
];

function toPanel({ title, description, series, unit, isStat = false }: Panel): object {
  return {
    title,
    description,
    type: isStat ? 'stat' : 'timeseries',
    datasource,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: isStat
      ? { reduceOptions: { calcs: ['lastNotNull'] } }
      : { legend: { showLegend: true }, tooltip: { mode: 'multi' } },
    targets: series.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat,
    })),
  };
}
