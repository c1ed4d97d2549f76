#!/bin/bash
# Slurm's PrologSlurmctld: tells tsobs a job's name, account and array, which its nodes are not given.
# Exits 0 in less than 5 s, whatever is broken. docs/slurm.md
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=${BASH_SOURCE[0]}
[[ ! -L $self ]] || self=$(readlink -f -- "$self")
[[ $self == */* ]] || self=./$self
# shellcheck source=tsobs_hooks.bash source-path=SCRIPTDIR
if [[ ! -r ${self%/*}/tsobs_hooks.bash ]] || ! . "${self%/*}/tsobs_hooks.bash"; then
    text="prolog_slurmctld: ${self%/*}/tsobs_hooks.bash is missing or damaged; job ${SLURM_JOB_ID:--} is not told"
    { printf '%s\n' "$text" >>"${OBSERVABILITY_LOG:-/var/log/tsobs/slurmctld-hooks.log}"; } 2>/dev/null ||
        printf 'tsobs: %s\n' "$text" >&2
    exit 0
fi

main() {
    read_job || return
    # Not "controller": that is for endings. After a node had to boot, the start is set anew.
    begin_event slurm-prolog-slurmctld
    put_user || return
    if ! expand_nodes "${SLURM_JOB_NODELIST:-${SLURM_NODELIST:-}}"; then
        log "the node list cannot be read; the nodes' own prologs tell the start"
        return
    fi
    put_count restart_count "${SLURM_JOB_RESTART_COUNT:-}"
    put_texts node_list "${NODES[@]}"
    put_controller_facts
    local start=${SLURM_JOB_START_TIME:-}
    if ask_controller "$(array_id)"; then
        said start_time
        : "${start:=$REPLY}"
        put_asked start
    fi
    put_time start_time "$start"
    tell job-started && flush_spool
    bound_spool
}

run_hook prolog_slurmctld main
