-- Share of the true neighbours that the graph of a run holds, measured on sampled images; 1 where the way is exact.
alter table runs add column neighbors_recall double;
