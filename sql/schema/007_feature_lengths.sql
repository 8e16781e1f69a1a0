-- How far the network's features of an instance are from those of diverse photographs, before they are scaled to unit
-- length; none of embeddings that users bring, and of models that do not say.
create table feature_lengths (
    id bigint not null,
    length double
);
