-- Forget the old places of changed images; `insert_changed` writes the new ones under the same ids.
delete from listing where image_id in (select image_id from changed)
