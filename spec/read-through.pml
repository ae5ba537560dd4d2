/*
 * The read and write protocol of docs/consistency.md, for one key. `npm run check:model` explores it; README.md beside this
 * file tells what is modelled, what is not, and which configuration is which.
 *
 * Every `atomic` block is one Lua script, one Redis command or one step of the database, and its comment names the code.
 * What has no effect on others is merged into the step behind it, and what only the process itself sees into the step before
 * it, so that there are no more interleavings than there need be: a read begins with its first command, because a later
 * beginning only raises its floor; it ends with its last one, because an earlier end only raises the floors of others.
 *
 * Configurations (spin -D...): WRITERS, READERS, READS, LOSSES; OUTAGES, SNAPSHOT, LESS; FLIGHT; REFRESH.
 * Guards to take out (-D...): NOFENCE, NOLEASE, NOFILLCHECK, RELEASEALL, REUSEVERSION, VALUEFIRST, NOTABLE, NOBARRIER,
 * LATEBARRIER, NOEPOCH, NORUNID, NOTABLERUN, TRUSTFIRST, LATEROW, SWEEPFIRST, LATEJOIN.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef READS
#define READS 2
#endif
#ifndef LOSSES
#define LOSSES 2
#endif

#define NONE 255
#define bit(x) (1 << (x))
#define instance(writer) ((writer) % READERS)    /* reader i is the read path of instance i */

/* The database. */
byte db = 0;                /* the committed value: 0, 1, 2, ... in the order of the commits */
byte open = 0;              /* writers that hold the shared lock of cache_barrier: from BEGIN to the end of the transaction */
byte committing = 0;        /* those of them that have set a fence: no deadline runs out on these */

/* The property: what was acknowledged to a writer or returned to a reader, at the newest. */
byte seen = 0;

/* Redis. */
byte run_id = 1;            /* run id of the server */
byte value = NONE;          /* K */
byte version = 0;           /* guard.version; 0 is none. The run in the upper half, the unique part in the lower one */
byte lease = 0;             /* guard.lease: the version to be */
byte table_run = 1;         /* fence table: `run`; 0 when there is no table */
byte epoch = 0;             /* fence table: `epoch` */
bool settled = true;        /* fence table: `opens_at` is 0, or has passed */
byte fences = 0;            /* fence table: one bit for each writer's token */
byte epochs = 0;
byte tokens = 0;

/* L1 of each instance: src/cache/memory-tier.ts */
byte l1_value[READERS];
byte l1_version[READERS];

byte ended = 0;             /* writers and readers that have ended */
bool begun = false;         /* writers are alike, and so are instances: writer 0 is the one that begins first */

#define is_lost (table_run != run_id)

#ifdef NORUNID
#define is_trusted(v) ((v) != 0)
#else
#define is_trusted(v) (((v) >> 4) == run_id)
#endif

inline observe(x) { if :: x > seen -> seen = x :: else fi }

#ifdef OUTAGES
/* What an instance knows of its links: src/redis/server.ts, the states of TrustedServer. */
#define DOWN 0
#define LINKED 1            /* recovering: fences and releases get through */
#define SWEEPING 2          /* recovering, past the barrier */
#define TRUSTED 3
byte state[READERS] = TRUSTED;
bool up = true;
byte outbox = 0;            /* committed rows of cache_outbox, one bit for each writer */
/* The stated exception: writes that were accepted while their instance could not reach Redis and another one could, until
 * their row is swept. Reads that begin meanwhile owe no more than what had been seen before. */
byte excused = 0;
byte seen_before = 0;
#define can_use(i) (state[i] == TRUSTED)
#define can_reach(i) (state[i] != DOWN)
#define due (excused != 0 -> seen_before : seen)
inline excuse(w) {
  if
  :: state[1 - instance(w)] >= SWEEPING -> if :: excused == 0 -> seen_before = seen :: else fi; excused = excused | bit(w)
  :: else
  fi
}
#else
#define can_use(i) true
#define can_reach(i) true
#define due seen
#endif

#ifdef OUTAGES
#define may_be_served \
  (value != NONE && is_trusted(version) && excused == 0 && (state[0] == TRUSTED || state[1] == TRUSTED))
#else
#define may_be_served (value != NONE && is_trusted(version))
#endif

/* A snapshot on disk: empty at first, so that a restart without one is covered. */
#ifdef SNAPSHOT
byte disk_value = NONE, disk_version = 0, disk_lease = 0, disk_table_run = 0, disk_epoch = 0, disk_fences = 0;
bool disk_settled = false, disk_taken = false;
/* There is one restart in a run of the model, so that nobody asks for the snapshot afterwards. */
inline forget_disk() {
  disk_value = NONE; disk_version = 0; disk_lease = 0; disk_table_run = 0; disk_epoch = 0; disk_fences = 0;
  disk_settled = false; disk_taken = false
}
#endif

/* lua/prelude.lua, make_table_if_lost */
inline make_table_if_lost() {
  if
  :: is_lost ->
     table_run = run_id; epochs++; epoch = epochs; fences = 0;
#ifdef NOTABLE
     settled = true
#else
     settled = false
#endif
  :: else
  fi
}

/* lua/prelude.lua, clear */
inline clear() { value = NONE; version = 0; lease = 0 }

/* All of it at once, for it is one hash. */
inline lose_table() { table_run = 0; fences = 0; settled = false; epoch = 0 }

/* lua/fence.lua */
inline fence(w) { make_table_if_lost(); clear(); fences = fences | bit(w) }

/* lua/release.lua. A table that is lost has no tokens; what is left in it counts for nothing. */
inline release(w) {
  clear();
#ifdef RELEASEALL
  fences = 0
#else
  fences = fences & ~bit(w)
#endif
}

inline end_transaction(w) { open = open & ~bit(w); committing = committing & ~bit(w) }

/*
 * WriteFence.write. Writers of one key need not wait for each other: a list has many rows. A writer that never goes on has
 * died. A rollback leaves the fence to run out, which WriteFence#withdraw only makes faster.
 */
proctype Writer(byte me) {
  byte mine = 0;
  bool recorded = false;
  /* BEGIN, holdBarrier, the statements; then WriteFence#fence */
  atomic {
    (me == 0 || begun) -> begun = true; open = open | bit(me);
#ifndef NOFENCE
    if
    :: can_reach(instance(me)) -> fence(me); committing = committing | bit(me)
#ifdef OUTAGES
    :: else -> recorded = true; excuse(me)        /* recordNames, seen once the transaction is committed */
#endif
    fi
#endif
  }
  if
  /* ROLLBACK */
  :: atomic {
       end_transaction(me);
#ifdef OUTAGES
       excused = excused & ~bit(me);
#endif
       ended++; goto done
     }
  /* COMMIT */
  :: atomic {
       db++; mine = db; end_transaction(me);
#if defined(OUTAGES) && !defined(LATEROW)
       if :: recorded -> outbox = outbox | bit(me) :: else fi;
#endif
       recorded = false;
       if :: ended++; goto done :: skip fi                                         /* it dies */
     }
  fi;
  /* WriteFence#release, then the acknowledgement */
  atomic {
    if
    :: can_reach(instance(me)) ->
       release(me)
#ifdef OUTAGES
       ; excused = excused & ~bit(me)
    :: else -> outbox = outbox | bit(me)
#endif
    fi;
    observe(mine); mine = 0; ended++
  }
done:
end:
  false
}

/* --- Reads: ReadThrough, one flight after the other; see SingleFlight. --- */

#ifdef FLIGHT
/* Instance 0 answers requests that share flights. */
byte boarded = 0, aboard = 0;
bool flying = false;
byte floors[2];
byte requests = 0;

proctype Request(byte me) {
  /* SingleFlight.fly */
  atomic {
    floors[me] = seen; requests++;
#ifdef LATEJOIN
    if :: flying -> aboard = aboard | bit(me) :: else -> boarded = boarded | bit(me) fi
#else
    boarded = boarded | bit(me)
#endif
  }
}

inline take_off() {
  if
  :: me == 0 -> aboard = boarded; boarded = 0; flying = true
  :: else -> floor = due
  fi
}
inline land(x) {
  if
  :: me == 0 ->
     assert((aboard & 1) == 0 || x >= floors[0]);
     assert((aboard & 2) == 0 || x >= floors[1]);
     if :: (aboard & 1) -> floors[0] = 0 :: else fi;
     if :: (aboard & 2) -> floors[1] = 0 :: else fi;
     aboard = 0; flying = false
  :: else -> assert(x >= floor)
  fi;
  observe(x)
}
#define may_begin (me != 0 || boarded != 0)
#define no_more (me != 0 && reads == READS)
#else
inline take_off() { floor = due }
inline land(x) { assert(x >= floor); observe(x) }
#define may_begin true
#ifdef LESS
#define no_more (reads == READS - me)            /* enough to see a stale entry, and a fifth of the states */
#else
#define no_more (reads == READS)
#endif
#endif

inline forget() { floor = 0; v = 0; k = 0; mine = 0; renew = false }
inline go_on() { forget(); if :: no_more -> ended++; goto done :: else -> goto next fi }
inline keep(ver, val) { l1_version[me] = ver; l1_value[me] = val }

/* ReadThrough#bypass: a fence is open, the table is not settled, the wait took too long, or the store cannot be used. */
inline bypass() { if :: renew :: else -> land(db) fi; go_on() }

/* ReadThrough#refreshWhenDue: in the background, after the answer */
inline answered() {
#ifdef REFRESH
  if :: go_on() :: forget(); renew = true; goto acquire fi
#else
  go_on()
#endif
}

#ifdef NOFILLCHECK
#define may_fill true
#else
#define may_fill (!is_lost && settled && fences == 0)
#endif
#ifdef NOLEASE
#define lease_is(token) true
#else
#define lease_is(token) (lease == token)
#endif

proctype Reader(byte me) {
  byte floor = 0, v = 0, k = 0, mine = 0, reads = 0;
  bool renew = false;
next:
  if
  :: atomic {
       may_begin -> reads++; take_off();
       if
       /* RedisStore.validate: HGET version. L1 may hold nothing, so this is never the only way. */
       :: can_use(me) && l1_version[me] != 0 && is_trusted(version) && version == l1_version[me] ->
          land(l1_value[me]); answered()
       /* ReadThrough#fly: any command may miss its deadline */
       :: bypass()
       /* RedisStore.read: HMGET version ..., GET, HGET version */
       :: can_use(me) ->
#ifdef VALUEFIRST
          k = value; v = 255
#else
          v = (is_trusted(version) -> version : 0)
#endif
       fi
     }
#ifdef FLIGHT
  :: atomic { me == 0 && requests == 2 && boarded == 0 -> ended++; goto done }
#endif
  fi;
#ifndef VALUEFIRST
  if
  :: atomic { v != 0 && can_use(me) -> k = value; if :: k == NONE -> v = 0; k = 0 :: else fi }
  :: atomic { v != 0 && !can_use(me) -> bypass() }
  :: atomic { v == 0 -> goto acquire }
  fi;
#endif
  if
  :: atomic {
       v != 0 && can_use(me) ->
#ifdef VALUEFIRST
       v = (k != NONE && is_trusted(version) -> version : 0);
       if
       :: v != 0 -> land(k); keep(v, k); answered()
#else
       if
       :: version == v -> land(k); keep(v, k); answered()
#endif
       :: else -> v = 0; k = 0
       fi
     }
  :: atomic { v != 0 && !can_use(me) -> bypass() }
  :: atomic { v == 0 -> skip }
  fi;
acquire:
  /* lua/acquire.lua. The barrier that `unsettled` asks for is process Settler; asking once more is asking later. */
  atomic {
    if
    :: !can_use(me) -> bypass()
    :: else ->
       if
       :: !renew && is_trusted(version) && value != NONE -> land(value); keep(version, value); go_on()
       :: else -> make_table_if_lost()
       fi;
       if
       :: !settled || fences != 0 -> bypass()
       /* The lease is free, or has run out. Its token is unique: CacheStore.unique */
       :: settled && fences == 0 ->
          tokens++; mine = (run_id << 4) | tokens; lease = mine;
          if :: renew :: else -> version = 0 fi
       /* another's lease: `wait`, and past the bound */
       :: settled && fences == 0 && lease != 0 -> bypass()
       fi
    fi
  }
  /* ReadThrough#loadAndFill: one SELECT */
  atomic { k = db }
  /* lua/fill.lua, and RedisStore.fill for the run of the token */
  atomic {
    if
    :: can_use(me) && (mine >> 4) == run_id && may_fill && lease_is(mine) ->
#ifdef REUSEVERSION
       mine = (run_id << 4) | 1;
#endif
       value = k; version = mine; lease = 0; keep(mine, k)
    :: else
    fi;
    if :: renew :: else -> land(k) fi;
    go_on()
  }
done:
end:
  false
}

/* --- Settling: Settling.settle; one at a time is enough, for each knows only its own epoch. --- */
proctype Settler() {
  byte mine = 0;
  bool passed = false;
end:
  do
#ifdef LATEBARRIER
  :: atomic { !passed && open == 0 -> passed = true }      /* a barrier that began before it is asked for */
#endif
  :: atomic {
#ifdef OUTAGES
       up &&
#endif
       (is_lost || !settled) ->
       /* acquire's `unsettled`, or lua/settle.lua without an epoch: TrustedServer#lostTables */
       make_table_if_lost(); mine = epoch
     }
#ifndef NOBARRIER
     /* passBarrier: the exclusive lock of cache_barrier is had when no shared one is left */
     atomic { passed || open == 0 -> passed = false }
#endif
     /* lua/settle.lua */
     atomic {
       if
#ifdef NOEPOCH
       :: !is_lost -> settled = true
#else
       :: !is_lost && epoch == mine -> settled = true
#endif
       :: else
       fi;
       mine = 0
     }
  od
}

#ifdef OUTAGES
/* TrustedServer#tryToRecover, and the sweep of each second: Cache.sweep */
proctype Recovery(byte me) {
  byte rows = 0;
end:
  do
  /* RedisLink is up, and its run id known */
  :: atomic {
       up && state[me] == DOWN ->
#ifdef TRUSTFIRST
       state[me] = TRUSTED
#else
       state[me] = LINKED
#endif
     }
#ifdef SWEEPFIRST
  :: atomic { state[me] == LINKED -> state[me] = SWEEPING }
#else
  /* passBarrier: every write that found Redis away has ended by now, and its row can be seen */
  :: atomic { state[me] == LINKED && open == 0 -> state[me] = SWEEPING }
#endif
  :: atomic { state[me] == SWEEPING || (state[me] == TRUSTED && outbox != 0) -> rows = outbox }    /* SELECT */
     if
     :: atomic { rows != 0 && can_reach(me) -> clear(); excused = excused & ~rows }                /* lua/release.lua */
        atomic { outbox = outbox & ~rows; rows = 0; goto swept }                                   /* DELETE */
     :: atomic { rows != 0 && !can_reach(me) -> rows = 0 }
     :: atomic { rows == 0 -> goto swept }
     fi;
     goto end;
swept:
     /* a link that was lost meanwhile starts it over: the era of TrustedServer */
     atomic { if :: state[me] == SWEEPING -> state[me] = TRUSTED :: else fi }
  od
}
#endif

/* Time and faults. Only LOSSES and OUTAGES of them happen, but every deadline may pass. */
proctype World() {
  byte losses = 0;
#ifdef OUTAGES
  byte outages = 0;
#endif
end:
  do
  :: atomic {
       losses < LOSSES -> losses++;
       if
       :: value != NONE -> value = NONE                                            /* the value expires or is evicted */
       :: version != 0 || lease != 0 -> version = 0; lease = 0                     /* the guard is evicted */
       :: table_run != 0 -> lose_table()                                           /* the fence table is evicted */
       :: clear(); lose_table()                                                    /* FLUSHALL */
       fi
     }
  /* No COMMIT is out longer than FENCE_MS after its fence: fences, then `opens_at` */
  :: atomic { (fences & ~committing) != 0 -> fences = fences & committing }
  :: atomic { !is_lost && !settled && (committing & ~fences) == 0 -> settled = true }
#ifdef OUTAGES
  :: atomic { up && outages < OUTAGES -> outages++; up = false; state[0] = DOWN; state[1] = DOWN }
#ifdef SNAPSHOT
  :: atomic { !up -> up = true; forget_disk() }
  :: atomic {
       !disk_taken && up && outages < OUTAGES -> disk_taken = true;
       disk_value = value; disk_version = version; disk_lease = lease;
       disk_table_run = table_run; disk_epoch = epoch; disk_settled = settled; disk_fences = fences
     }
  /* A restart, or another server behind the address: old memory, new run id */
  :: atomic {
       !up -> up = true; run_id++;
       value = disk_value; version = disk_version; lease = disk_lease;
       table_run = disk_table_run; epoch = disk_epoch; settled = disk_settled; fences = disk_fences;
#ifdef NOTABLERUN
       if :: table_run != 0 -> table_run = run_id :: else fi;
#endif
       forget_disk()
     }
#else
  :: atomic { !up -> up = true }
#endif
#endif
  od
}

init {
  atomic {
    byte i;
    for (i : 0 .. WRITERS - 1) { run Writer(i) }
    for (i : 0 .. READERS - 1) { run Reader(i) }
#ifdef FLIGHT
    run Request(0); run Request(1);
#endif
#ifdef OUTAGES
    run Recovery(0); run Recovery(1);
#endif
    run Settler();
    run World();
    i = 0
  }
  /* At the end, what may be served is what the database holds. */
  atomic { ended == WRITERS + READERS -> assert(!may_be_served || value == db) }
}
