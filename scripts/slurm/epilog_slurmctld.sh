#!/bin/bash
# Slurm's EpilogSlurmctld: tells tsobs how a job ended, with the controller's authority.
# Exits 0 in less than 5 s, whatever is broken. docs/slurm.md
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=${BASH_SOURCE[0]}
[[ ! -L $self ]] || self=$(readlink -f -- "$self")
[[ $self == */* ]] || self=./$self
# shellcheck source=tsobs_hooks.bash source-path=SCRIPTDIR
if [[ ! -r ${self%/*}/tsobs_hooks.bash ]] || ! . "${self%/*}/tsobs_hooks.bash"; then
    text="epilog_slurmctld: ${self%/*}/tsobs_hooks.bash is missing or damaged; job ${SLURM_JOB_ID:--} is not told"
    { printf '%s\n' "$text" >>"${OBSERVABILITY_LOG:-/var/log/tsobs/slurmctld-hooks.log}"; } 2>/dev/null ||
        printf 'tsobs: %s\n' "$text" >&2
    exit 0
fi

# Processes at most that wait to ask again.
readonly LATER_AT_ONCE=64

main() {
    read_job || return
    ask_controller "$(array_id)"
    said start_time
    local start=$REPLY
    read_ending ''
    if [[ -n ${LATER:-} ]]; then
        # Still nothing, or already another run of this id.
        if [[ -z $RAW || $start != "${SLURM_JOB_START_TIME:-$start}" ]]; then
            log "scontrol does not say (any more) how this run ended"
            return
        fi
        rm -f -- "$LATER"
    fi
    # A controller that does not answer does not say when the job ended, either: this hook's own time is
    # told then, and with a hook's authority.
    if [[ -n ${JOB_SAYS[job_state]:-} ]]; then begin_event controller; else begin_event slurm-epilog-slurmctld; fi
    put_controller_facts
    put_ending '' ''
    put_asked end
    tell job-finished && flush_spool
    bound_spool
    [[ -n $RAW ]] || log "scontrol did not say how it ended: its exit code alone was told"
    # The controller may not know all yet: nothing, or cancelled and timed out, but by which signal?
    if [[ -z ${LATER:-} ]] && [[ -z $RAW || $RAW == @(CANCELLED|TIMEOUT) && ${SIGNAL:-0} == 0 ]]; then
        ask_again_later "$start"
    fi
}

# ask_again_later START: in a session of its own, holding no pipe, for slurmctld ends a hook's process
# group and may wait for whoever holds its output. At most so many at once.
ask_again_later() {
    local file running=0
    [[ ${OBSERVABILITY_ASK_AGAIN:=5 20} =~ ^[0-9]{1,3}(\ [0-9]{1,3})*$ ]] || return 0
    for file in "$SPOOL"/.later.*; do
        if [[ -d /proc/${file##*.} ]]; then ((++running)); else rm -f -- "$file"; fi
    done
    if ((running >= LATER_AT_ONCE)) || ! command -v setsid >/dev/null; then
        return 0
    fi
    now_s
    : "${TSOBS_HOOK_ENDED:=$REPLY}" "${SLURM_JOB_START_TIME:=$1}"
    export TSOBS_HOOK_ENDED SLURM_JOB_START_TIME OBSERVABILITY_ASK_AGAIN
    TSOBS_HOOK_LATER=$SPOOL/.later. setsid "$BASH" "$self" </dev/null >/dev/null 2>&1 &
}

if [[ -n ${TSOBS_HOOK_LATER:-} ]]; then
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        # Bash reads this script from 255.
        [[ ! $fd =~ ^[0-9]+$ ]] || ((fd < 3 || fd == 255)) || exec {fd}>&-
    done
    LATER=$TSOBS_HOOK_LATER$$
    { : >"$LATER"; } 2>/dev/null
    for wait_s in $OBSERVABILITY_ASK_AGAIN; do
        [[ -e $LATER ]] || break
        sleep "$wait_s"
        (run_hook epilog_slurmctld main)
    done
    rm -f -- "$LATER"
    exit 0
fi

run_hook epilog_slurmctld main
