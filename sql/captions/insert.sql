-- Append the Arrow table `incoming` (id, model, prompt, settings, caption) to `captions`.
insert into captions by name select * from incoming
