/* The grant protocol: two devices of a site, one unit, one hub.
 * Code: edge/store/authorisations.py, sync/agent/authorisation_relay.py, sync/hub/arbitration/grants.py.
 *
 * Messages are lost, doubled, late and in any order. Devices lose their power. No clock is compared
 * with another's. A device never redeems without a grant here (policy "refuse"). What must hold: the
 * unit is redeemed once.
 *
 * `make prove` runs it; by hand:
 *
 *   spin -a grant.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -w24
 *
 * A grant is released by its holder's report that it is over. The report names the newest request
 * that the holder knows to be over, and releases that one and those before it. Two controls show what
 * each half of this is for. Both must fail:
 *
 *   -DUNNUMBERED   the report names no request and releases all: an old one releases a grant that
 *                  was given after it was sent
 *   -DEARLY        it is sent while a grant may still be used: it names a request that is not over
 */
#define DEVS 2
#define REQUESTS(d) (d == 0 -> 2 : 1)   /* an old message may harm the second request of the first device */
#ifndef ROOM
#define ROOM 3                      /* messages of a device that are on their way */
#endif

mtype = { request, event, released, granted, refused };

chan up[DEVS] = [ROOM] of { mtype, byte };   /* kind; the number of the request */
chan down[DEVS] = [1] of { mtype, byte };

/* on each device's disk */
byte requested[DEVS];       /* the number of the last request; 0: none */
bool waits[DEVS];           /* its deadline is not over */
bool grant[DEVS];           /* granted, not used, and still in time */
bool used_here[DEVS];       /* its own ledger has the use: it never requests, nor redeems, again */
bool pending[DEVS];         /* a redemption that the platform has not acknowledged */
bool unreported[DEVS];      /* a request was made: report when it is over */

/* at the hub */
bool spent;
byte held[DEVS];            /* bit n: request n of this device was granted, and not reported since */
byte redeemed;

#define BIT(n) (1 << (n))
#define THROUGH(n) ((1 << ((n) + 1)) - 1)

#ifdef UNNUMBERED
#define RELEASED(id) 255
#else
#define RELEASED(id) THROUGH(id)
#endif
#ifdef EARLY
#define OVER(d) (!pending[d])
#else
#define OVER(d) (!pending[d] && !grant[d] && !waits[d])
#endif

proctype Device(byte d) {
    byte id;
    do
    /* a scan requests; the row, with its number, is on disk before it is sent */
    :: atomic { requested[d] < REQUESTS(d) && !waits[d] && !grant[d] && !used_here[d] -> requested[d]++; waits[d] = true; unreported[d] = true;
                if :: nfull(up[d]) -> up[d]!request(requested[d]) :: full(up[d]) fi }
    /* the reply: only to the request that waits; a late one grants nothing */
    :: atomic { down[d]?granted(id) -> if :: waits[d] && id == requested[d] -> waits[d] = false; grant[d] = true :: else fi; id = 0 }
    :: atomic { down[d]?refused(id) -> if :: waits[d] && id == requested[d] -> waits[d] = false :: else fi; id = 0 }
    :: atomic { waits[d] -> waits[d] = false }                                  /* the deadline */
    :: atomic { grant[d] -> grant[d] = false; used_here[d] = true; pending[d] = true; redeemed++; assert(redeemed <= 1) } /* one transaction */
    :: atomic { grant[d] -> grant[d] = false }                                  /* not used in time, or a new boot */
    /* uplink: the event, which names its request, again and again until it is acknowledged; the report
     * that requests are over only with nothing pending */
    :: atomic { pending[d] && nfull(up[d]) -> up[d]!event(requested[d]) }
    :: atomic { unreported[d] && OVER(d) && nfull(up[d]) -> up[d]!released(requested[d]); unreported[d] = false }
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
        if :: up[d]?kind(id) :: up[d]?<kind(id)> fi;         /* received, or received and not acknowledged: it comes again */
        if
        :: kind == request ->
            if
            :: spent || held[1 - d] != 0 -> if :: nfull(down[d]) -> down[d]!refused(id) :: full(down[d]) fi
            :: else -> held[d] = held[d] | BIT(id); if :: nfull(down[d]) -> down[d]!granted(id) :: full(down[d]) fi
            fi
        :: kind == event -> spent = true; held[d] = held[d] & (255 - BIT(id)); pending[d] = false   /* committed; its acknowledgement settles */
        :: kind == released -> held[d] = held[d] & (255 - (RELEASED(id) & 255))
        fi;
        d = 0; id = 0; kind = 0 }
    od
}

init {
    atomic {
        run Device(0); run Device(1); run Net(0); run Net(1); run Hub()
    }
}
