-- What test_dir lists is no part of the input that it is compared with, also where that lists it.
delete from staged
where split = 'train' and filename in (select filename from staged where split = 'test')
