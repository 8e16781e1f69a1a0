-- What the run's model ran on: onnxruntime's execution providers, the preferred first, separated by commas.
alter table runs add column providers varchar;
