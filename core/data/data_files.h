// Which files a dataset entry means: one file, the data files of a directory (a hub snapshot, say), or those a glob names.
//
// A directory stands for the files of known kinds in it, in its `data` folder and in folders named by a split (train, test, ...),
// in order of their names. Skipped: hidden names, kinds without a reader (README.md, .csv, LICENSE) and the descriptions that
// `datasets` writes (dataset_infos.json, dataset_info.json, dataset_dict.json, state.json). Links are followed, and a file is
// what the link's own name says: in a snapshot every file is a link to a blob named by a hash.
//
// The split of a file, after the conventions of the `datasets` library:
//   NAME-00000-of-00001.KIND      NAME, if the file lies in `data` or NAME has one of the words below as a part
//   a word in the file's name     train, training -> train; validation, valid, dev, val -> validation; test, testing, eval,
//   or else in its folder's name  evaluation -> test. Words stand alone or between any of - . _ space and digits
// Where no file has a split, all are train; else a file without one belongs to none.
#ifndef FT_DATA_DATA_FILES_H
#define FT_DATA_DATA_FILES_H

#include "common/config.h"

// The kind of a file, as its extension (".jsonl", ".json.gz", ".parquet", ...; static text), NULL if no reader takes it. Every
// file of a kind in this list has a reader (readers.h).
const char *ft_data_file_kind(const char *path);
// All of them, for messages: ".jsonl, .ndjson, .json (each also .gz or .zst), .parquet".
extern const char ft_data_file_kinds[];

// Appends the paths of the entry's files to *out (a list, {0} or filled; the caller frees it, also after a failure).
//   path        file or directory
//   split       NULL or "" = train; synonyms above are understood. A single file, and what `data_files` names, is train.
//   data_files  NULL or "", or a file name or glob (* ? [..], no **) relative to the directory `path`; '..' is refused
// FT_E_NOT_FOUND: no such path. FT_E_INPUT: no data files, a glob that matches none, files of two kinds (both are named), a
// dangling link, a split that does not exist (those that do are listed). FT_E_UNSUPPORTED: a kind without a reader, a slice of a
// split such as train[:10%].
ft_status ft_data_files_list(const char *path, const char *split, const char *data_files, ft_string_list *out);

// The split of the file `relative` (a path from the dataset's directory), NULL if its name tells none; heap text into *split.
ft_status ft_data_split_of(const char *relative, char **split);
// The usual name of a split that has several ("val" -> "validation"), else `name` itself.
const char *ft_data_split_canonical(const char *name);

#endif
