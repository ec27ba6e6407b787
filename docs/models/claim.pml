/* The claim protocol (edge/store/claims.py, sync/claim_desk.py, sync/hub/claims.py): two devices of a site, one unit,
 * one hub. Messages are lost, doubled and late; devices lose their power; clocks only run forward.
 *
 * A device honours without leave in no case here (policy "refuse"). What must hold: the unit is honoured once.
 *
 * `make prove` runs it; by hand:
 *
 *   spin -a claim.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan
 *
 * As it stands, messages of one device come up in their order, each once or more (MQTT over one connection).
 * -DLATE lets one come again, or for the first time, after later ones: a hub that was stopped with a message in its
 * hand, several hubs on one subscription, a resend after a reconnect. Then it does NOT hold: an old "nothing to tell"
 * frees a leave that was given after it was said. -DNUMBERED is the mend: "nothing to tell" names the last claim that it
 * knows of, and frees no later one. With it, it holds in any order.
 */
#define DEVS 2
#define ASKS(d) (d == 0 -> 2 : 1)   /* the second claim of the first device is the one that an old message may harm */

mtype = { claim, event, quiet, granted, refused };

chan up[DEVS] = [3] of { mtype, byte };      /* kind; the number of the claim */
chan down[DEVS] = [1] of { mtype, byte };

/* on each device's disk */
byte asked[DEVS];           /* the number of the last claim; 0: none */
bool waits[DEVS];           /* its deadline is not over */
bool leave[DEVS];           /* granted, not used, and still in time */
bool used_here[DEVS];       /* its own ledger has the use: it never asks, nor honours, again */
bool pending[DEVS];         /* a redemption that the platform has not acknowledged */
bool owes_quiet[DEVS];      /* a leave was given: say when nothing of it is pending */

/* at the hub */
bool spent;
bool held[DEVS];            /* a leave is held for this device */
byte held_no[DEVS];         /* given in answer to this claim */
bool over[DEVS];            /* and its time (HOLD_S) is over */
byte honoured;

#ifdef NUMBERED
#define KNOWN(id) (held_no[d] <= id)
#else
#define KNOWN(id) true
#endif

proctype Device(byte d) {
    byte id;
    do
    /* a scan asks; the row is on disk before it goes out */
    :: atomic { asked[d] < ASKS(d) && !waits[d] && !leave[d] && !used_here[d] -> asked[d]++; waits[d] = true; if :: nfull(up[d]) -> up[d]!claim(asked[d]) :: full(up[d]) fi }
    /* the answer: only to the request that waits; a late one grants nothing */
    :: atomic { down[d]?granted(id) -> if :: waits[d] && id == asked[d] -> waits[d] = false; leave[d] = true; owes_quiet[d] = true :: else fi; id = 0 }
    :: atomic { down[d]?refused(id) -> if :: waits[d] && id == asked[d] -> waits[d] = false :: else fi; id = 0 }
    :: atomic { waits[d] -> waits[d] = false }                                  /* the deadline */
    :: atomic { leave[d] -> leave[d] = false; used_here[d] = true; pending[d] = true; honoured++; assert(honoured <= 1) } /* one transaction */
    :: atomic { leave[d] -> leave[d] = false }                                  /* not used in time, or a new boot */
    /* uplink: the event again and again until it is acknowledged; quiet only with nothing pending */
    :: atomic { pending[d] && nfull(up[d]) -> up[d]!event(0) }
    :: atomic { owes_quiet[d] && !pending[d] && !leave[d] && !waits[d] && nfull(up[d]) -> up[d]!quiet(asked[d]); owes_quiet[d] = false }
    od
}

proctype Net(byte d) {
    mtype kind; byte id;
    do
    :: atomic { up[d]?kind(id) -> skip }                                        /* lost */
#ifdef LATE
    :: atomic { nempty(up[d]) && nfull(up[d]) -> up[d]?<kind(id)>; up[d]!kind(id) } /* doubled, and late */
#endif
    :: atomic { down[d]?kind(id) -> skip }
    od
}

proctype Hub() {
    byte d, id; mtype kind;
    do
    :: atomic {
        if :: nempty(up[0]) -> d = 0 :: nempty(up[1]) -> d = 1 fi;
        if :: up[d]?kind(id) :: up[d]?<kind(id)> fi;         /* taken, or taken and not acknowledged: it comes again */
        if
        :: kind == claim ->
            if
            :: spent || held[1 - d] -> if :: nfull(down[d]) -> down[d]!refused(id) :: full(down[d]) fi
            :: else -> held[d] = true; over[d] = false; held_no[d] = id; if :: nfull(down[d]) -> down[d]!granted(id) :: full(down[d]) fi
            fi
        :: kind == event -> spent = true; pending[d] = false   /* committed; its acknowledgement settles */
        :: kind == quiet -> if :: held[d] && over[d] && KNOWN(id) -> held[d] = false :: else fi
        fi;
        d = 0; id = 0; kind = 0 }
    /* HOLD_S is longer than deadline and use together: when it is over, no leave of that claim can be used */
    :: atomic { held[0] && !over[0] && !leave[0] && !waits[0] -> over[0] = true }
    :: atomic { held[1] && !over[1] && !leave[1] && !waits[1] -> over[1] = true }
    od
}

init {
    atomic {
        run Device(0); run Device(1); run Net(0); run Net(1); run Hub()
    }
}
