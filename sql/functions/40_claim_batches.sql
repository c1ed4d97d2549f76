-- Claims (stream, seq) pairs in the ledger. The caller COPYs what is 'new' in the same transaction.
-- outcome: new; duplicate (accepted before: answer as written, copy nothing); conflict (the stream belongs to
-- another node, or its newest seq comes again with another body: a cloned image, the agent must start anew).
-- Rows are taken in (stream, seq) order, so that two callers never wait for each other in a circle.

create or replace function tsobs_store.claim_batches(
    p_streams uuid[], p_seqs bigint[], p_node_ids int[], p_machine_ids text[], p_hashes bytea[]
) returns table (ordinal bigint, outcome text) language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    claim record;
    held ingest_stream;
begin
    for claim in
        select c.* from unnest(p_streams, p_seqs, p_node_ids, p_machine_ids, p_hashes)
            with ordinality as c (stream, seq, node_id, machine_id, hash, n)
        order by c.stream, c.seq, c.n
    loop
        ordinal := claim.n;
        outcome := 'new';
        insert into ingest_stream as s (stream, node_id, machine_id, accepted, newest_seq, newest_hash, batches)
        values (claim.stream, claim.node_id, claim.machine_id,
            int8multirange(int8range(claim.seq, claim.seq, '[]')), claim.seq, claim.hash, 1)
        on conflict (stream) do update set
            accepted = s.accepted + excluded.accepted,
            newest_seq = greatest(s.newest_seq, excluded.newest_seq),
            newest_hash = case when excluded.newest_seq > s.newest_seq then excluded.newest_hash else s.newest_hash end,
            batches = s.batches + 1,
            last_batch_at = now()
        where s.node_id = excluded.node_id and s.machine_id = excluded.machine_id
            and not s.accepted @> excluded.newest_seq;
        if not found then
            select * into strict held from ingest_stream where stream = claim.stream;
            outcome := case
                when held.node_id <> claim.node_id or held.machine_id <> claim.machine_id then 'conflict'
                when claim.seq = held.newest_seq and claim.hash <> held.newest_hash then 'conflict'
                else 'duplicate'
            end;
        end if;
        return next;
    end loop;
end
$$;
