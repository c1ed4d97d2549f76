#!/bin/bash
# slurm.conf's JobCompType=jobcomp/script with JobCompLoc=<this file>: tells tsobs how a job ended, with
# the controller's authority. slurmctld runs it for every job that ends, also for one cancelled while
# pending, for which no hook runs; and tells it the final state, which no epilog is told.
# Exits 0 in less than 5 s, whatever is broken. docs/slurm.md
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=${BASH_SOURCE[0]}
[[ ! -L $self ]] || self=$(readlink -f -- "$self")
[[ $self == */* ]] || self=./$self
# shellcheck source=tsobs_hooks.bash source-path=SCRIPTDIR
if [[ ! -r ${self%/*}/tsobs_hooks.bash ]] || ! . "${self%/*}/tsobs_hooks.bash"; then
    text="jobcomp: ${self%/*}/tsobs_hooks.bash is missing or damaged; job ${JOBID:--} is not told"
    { printf '%s\n' "$text" >>"${OBSERVABILITY_LOG:-/var/log/tsobs/slurmctld-hooks.log}"; } 2>/dev/null ||
        printf 'tsobs: %s\n' "$text" >&2
    exit 0
fi

# slurmctld runs this for one job after the other, and keeps those that wait in memory: while the
# service does not answer, only one of them in each such time waits for it.
readonly AWAY_S=30
# A number that Slurm means as "none".
readonly NO_VALUE=4294967294

# adopt: what this plugin names in its own way, under the names that the hooks are given.
adopt() {
    SLURM_JOB_ID=${JOBID:-}
    SLURM_JOB_PARTITION=${PARTITION:-}
    SLURM_JOB_USER=${USERNAME:-}
    SLURM_JOB_NAME=${JOBNAME:-}
    SLURM_JOB_ACCOUNT=${ACCOUNT:-}
    SLURM_JOB_EXIT_CODE2=${EXITCODE:-}
    SLURM_JOB_END_TIME=${END:-}
    # As a wait status.
    [[ ! ${DERIVED_EC:-} =~ ^([0-9]{1,3}):([0-9]{1,3})$ ]] ||
        SLURM_JOB_DERIVED_EC=$((10#${BASH_REMATCH[1]} * 256 + 10#${BASH_REMATCH[2]}))
    [[ ${ARRAYTASKID:-$NO_VALUE} == "$NO_VALUE" ]] ||
        SLURM_ARRAY_TASK_ID=$ARRAYTASKID SLURM_ARRAY_JOB_ID=${ARRAYJOBID:-}
    NODE_LIST=${NODES:-}
    [[ -z ${CLUSTER:-} ]] || SLURM_CLUSTER_NAME=$CLUSTER
    unset CLUSTER NODES
}

main() {
    local start=''
    read_job || return
    # Nodes that it had tell that it ran; Slurm says a start also for what was cancelled while pending.
    [[ -z $NODE_LIST ]] || start=${START:-}
    declare -gA JOB_SAYS=([job_state]=${JOBSTATE:-} [submit_time]=${SUBMIT:-})
    read_ending ''
    if [[ -z $RAW ]]; then
        log "${JOBSTATE:-no state} is no ending; nothing is told"
        return
    fi
    [[ -n $CLUSTER ]] || find_cluster
    begin_event controller
    put_controller_facts
    put_text user "$SLURM_JOB_USER" "$NAME_BYTES"
    put_text qos "${QOS:-}"
    put_limit
    if [[ -n $NODE_LIST ]] && expand_nodes "$NODE_LIST"; then
        put_texts node_list "${NODES[@]}"
    fi
    put_ending "$start" ''
    put_time submit_time "${SUBMIT:-}"
    if [[ ${HETJOBID:-0} =~ ^[1-9][0-9]{0,8}$ ]]; then
        put_text het_job_id "$HETJOBID"
        put_count het_offset "${HETJOBOFFSET:-}"
    fi
    tell_unless_away
    bound_spool
}

# find_cluster: the plugin knows it only where slurmdbd is; the hooks are always told.
find_cluster() {
    local line
    shopt -s nocasematch
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line =~ ^[[:space:]]*ClusterName[[:space:]]*=[[:space:]]*([^[:space:]#]+) ]]; then
            # As Slurm gives it to the hooks.
            CLUSTER=${BASH_REMATCH[1],,}
            break
        fi
    done 2>/dev/null <"${SLURM_CONF:-/etc/slurm/slurm.conf}"
    shopt -u nocasematch
}

# put_limit: the time limit, [days-]hours:minutes:seconds.
put_limit() {
    [[ ${LIMIT:-} =~ ^(([0-9]{1,5})-)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})$ ]] || return 0
    local days=${BASH_REMATCH[2]:-0}
    put_count time_limit_s $(((10#$days * 24 + 10#${BASH_REMATCH[3]}) * 3600 \
        + 10#${BASH_REMATCH[4]} * 60 + 10#${BASH_REMATCH[5]}))
}

# tell_unless_away: after one that the service did not take, the next ones go straight to the spool.
tell_unless_away() {
    local away=$SPOOL/.away changed now
    now_s
    now=$REPLY
    if changed=$(stat -c %Y -- "$away" 2>/dev/null) && ((now - changed < AWAY_S)); then
        tell job-finished later
    elif tell job-finished; then
        rm -f -- "$away"
        flush_spool
    else
        { : >"$away"; } 2>/dev/null
    fi
}

adopt
run_hook jobcomp_slurmctld main
