#!/bin/bash
# Slurm's Epilog: tells tsobs how a job ended.
# Exits 0 in less than 5 s, whatever is broken. docs/slurm.md
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=${BASH_SOURCE[0]}
[[ ! -L $self ]] || self=$(readlink -f -- "$self")
[[ $self == */* ]] || self=./$self
# shellcheck source=tsobs_hooks.bash source-path=SCRIPTDIR
if [[ ! -r ${self%/*}/tsobs_hooks.bash ]] || ! . "${self%/*}/tsobs_hooks.bash"; then
    text="epilog: ${self%/*}/tsobs_hooks.bash is missing or damaged; job ${SLURM_JOB_ID:--} is not told"
    { printf '%s\n' "$text" >>"${OBSERVABILITY_LOG:-/var/log/tsobs/hooks.log}"; } 2>/dev/null ||
        printf 'tsobs: %s\n' "$text" >&2
    exit 0
fi

# The first two nodes tell the ending, so that it is known when one of them is broken; each asks the
# controller, which thousands of nodes must not do.
readonly ENDING_NODES=2

main() {
    local note start='' restarts=''
    read_job || return
    find_place
    forget_gpus
    for note in "$STATE/$JOB@$NODE"-*; do
        [[ ${note#"$STATE/$JOB@$NODE"} =~ ^-([1-9][0-9]{8,9})-([0-9]*)$ ]] || continue
        start=${BASH_REMATCH[1]} restarts=${BASH_REMATCH[2]}
        rm -f -- "$note" 2>/dev/null
    done
    if ((PLACE < ENDING_NODES)); then
        ask_controller "$JOB"
        begin_event slurm-epilog
        put_text node "$NODE" "$NAME_BYTES"
        read_ending "$restarts"
        put_ending "$start" "$restarts"
        put_asked end
        tell job-finished && flush_spool
        [[ -n $RAW ]] || log "the controller did not say how it ended: its exit code alone was told"
    elif ((PLACE < SPEAKING_NODES || RANDOM % ${#NODES[@]} < SPEAKING_NODES)); then
        flush_spool
    fi
    bound_spool
}

run_hook epilog main
