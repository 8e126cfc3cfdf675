// What TensorBoard shows of a run: an event file beside metrics.jsonl, made of its lines.
//
// metrics.jsonl is the record, the event file a view of it: a line becomes one event, whether it was just written or is read back.
// A run that is resumed truncates metrics.jsonl to its checkpoint, and then makes the event file anew from the lines that are left.
// So neither a resume nor a kill at any moment leaves a step twice, one that is no part of the run, or half an event, and events
// that were switched off for a while are complete once they are on again.
//
// Once the new file is whole the old one is emptied, and removed by the next resume: a reader that has it open by name reads on in
// the new one, which begins by voiding what was read before (event_file.h), but stops for good where its file is gone.
//
// The file is OUTPUT/events.out.tfevents.<number>.ft-single. TensorBoard calls a directory that holds such a file a run and names
// it by its path below --logdir: with the file in OUTPUT itself, `--logdir ft-out` shows "llama-1", "llama-2", one for each run.
#ifndef FT_TRAIN_METRICS_EVENTS_H
#define FT_TRAIN_METRICS_EVENTS_H

#include "train/event_file.h"

// Makes OUTPUT's event file: `config` (YAML) as a text, then an event for each line of the file `metrics`. Empties older ones.
ft_status ft_metrics_events_open(ft_event_file **file, const char *output, const char *metrics, const char *config);
// The event of a line of metrics.jsonl. Numbers become float32, null becomes NaN. Allocates for a note alone.
ft_status ft_metrics_events_line(ft_event_file *file, const char *line);
bool ft_metrics_events_is_file(const char *name);
ft_status ft_metrics_events_remove(const char *output);  // all of them

#endif
