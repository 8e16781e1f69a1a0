-- The boxes of the images $first to $last (ids, inclusive), grouped by image, in box order.
select * from boxes where image_id between $first and $last order by image_id, id
