/* The claim protocol (edge/store/authorisations.py, sync/agent/authorisation_relay.py, sync/hub/arbitration/grants.py): two devices of a site, one unit,
 * one hub. Messages are lost, doubled, late and in any order; devices lose their power; no clock is compared with
 * another's.
 *
 * A device honours without leave in no case here (policy "refuse"). What must hold: the unit is honoured once.
 *
 * `make prove` runs it; by hand:
 *
 *   spin -a grant.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -w24
 *
 * What frees a leave is the word of its holder that it is over, and that word names the newest claim that it knows to
 * be over: it frees that one and those before it. Two controls show what each half of this is for; both must fail:
 *
 *   -DUNNUMBERED   the word names none and frees all: an old one frees a leave that was given after it was said
 *   -DEARLY        it is said while a leave may still be used: it names a claim that is not over
 */
#define DEVS 2
#define ASKS(d) (d == 0 -> 2 : 1)   /* the second claim of the first device is the one that an old message may harm */
#ifndef ROOM
#define ROOM 3                      /* messages of a device that are on their way */
#endif

mtype = { claim, event, told, granted, refused };

chan up[DEVS] = [ROOM] of { mtype, byte };   /* kind; the number of the claim */
chan down[DEVS] = [1] of { mtype, byte };

/* on each device's disk */
byte asked[DEVS];           /* the number of the last claim; 0: none */
bool waits[DEVS];           /* its deadline is not over */
bool leave[DEVS];           /* granted, not used, and still in time */
bool used_here[DEVS];       /* its own ledger has the use: it never asks, nor honours, again */
bool pending[DEVS];         /* a redemption that the platform has not acknowledged */
bool owes[DEVS];            /* a claim was made: say when it is over */

/* at the hub */
bool spent;
byte held[DEVS];            /* bit n: claim n of this device was granted, and nothing was heard of it since */
byte honoured;

#define BIT(n) (1 << (n))
#define THROUGH(n) ((1 << ((n) + 1)) - 1)

#ifdef UNNUMBERED
#define FREED(id) 255
#else
#define FREED(id) THROUGH(id)
#endif
#ifdef EARLY
#define OVER(d) (!pending[d])
#else
#define OVER(d) (!pending[d] && !leave[d] && !waits[d])
#endif

proctype Device(byte d) {
    byte id;
    do
    /* a scan asks; the row, with its number, is on disk before it goes out */
    :: atomic { asked[d] < ASKS(d) && !waits[d] && !leave[d] && !used_here[d] -> asked[d]++; waits[d] = true; owes[d] = true;
                if :: nfull(up[d]) -> up[d]!claim(asked[d]) :: full(up[d]) fi }
    /* the answer: only to the request that waits; a late one grants nothing */
    :: atomic { down[d]?granted(id) -> if :: waits[d] && id == asked[d] -> waits[d] = false; leave[d] = true :: else fi; id = 0 }
    :: atomic { down[d]?refused(id) -> if :: waits[d] && id == asked[d] -> waits[d] = false :: else fi; id = 0 }
    :: atomic { waits[d] -> waits[d] = false }                                  /* the deadline */
    :: atomic { leave[d] -> leave[d] = false; used_here[d] = true; pending[d] = true; honoured++; assert(honoured <= 1) } /* one transaction */
    :: atomic { leave[d] -> leave[d] = false }                                  /* not used in time, or a new boot */
    /* uplink: the event, which names its claim, again and again until it is acknowledged; the word that claims are over
     * only with nothing pending */
    :: atomic { pending[d] && nfull(up[d]) -> up[d]!event(asked[d]) }
    :: atomic { owes[d] && OVER(d) && nfull(up[d]) -> up[d]!told(asked[d]); owes[d] = false }
    od
}

proctype Net(byte d) {
    mtype kind; byte id;
    do
    :: atomic { up[d]?kind(id) -> skip }                                        /* lost */
    :: atomic { nempty(up[d]) && nfull(up[d]) -> up[d]?<kind(id)>; up[d]!kind(id) } /* doubled, and late */
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
            :: spent || held[1 - d] != 0 -> if :: nfull(down[d]) -> down[d]!refused(id) :: full(down[d]) fi
            :: else -> held[d] = held[d] | BIT(id); if :: nfull(down[d]) -> down[d]!granted(id) :: full(down[d]) fi
            fi
        :: kind == event -> spent = true; held[d] = held[d] & (255 - BIT(id)); pending[d] = false   /* committed; its acknowledgement settles */
        :: kind == told -> held[d] = held[d] & (255 - (FREED(id) & 255))
        fi;
        d = 0; id = 0; kind = 0 }
    od
}

init {
    atomic {
        run Device(0); run Device(1); run Net(0); run Net(1); run Hub()
    }
}
