# What the lab's jobs run: use CPU, and tell how much it was.
# The kernel's own figures, of this shell and of its ended children, go into files "<job>.<…>.cpu".

# The tests that run at the same time need their turn.
renice --priority 19 $$ >/dev/null

report="$LAB_OUT/$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}.${SLURM_STEP_ID:-batch}.${SLURM_PROCID:-0}.cpu"

# Burns until this shell has used so many seconds of CPU, and reports.
burn() {
    local user system wanted_ms=$(($1 * 1000)) used_ms=0
    while [ "$used_ms" -lt "$wanted_ms" ]; do
        for ((i = 0; i < 2000; i++)); do :; done
        used
    done
}

# Sets used_ms, and writes the report.
used() {
    times >"$report"
    read -r user system <"$report"
    in_ms "$user"
    used_ms=$ms
    in_ms "$system"
    used_ms=$((used_ms + ms))
}

# 1m2.345s → 62345
in_ms() {
    local minutes=${1%m*} seconds=${1#*m}
    seconds=${seconds%s}
    ms=$((minutes * 60000 + 10#${seconds/./}))
}

# Tells the test that the job is where it should be cancelled or requeued.
ready() {
    : >"$LAB_OUT/$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}.ready"
}
