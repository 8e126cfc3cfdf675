// The Hugging Face cache: what `ft-single download` (io/hub.h) or `hf download` has put there, found by id. Nothing is downloaded and the
// network is not touched.
//
// An id is NAME or ORG/NAME, with an optional @REVISION (branch, tag or commit). The cache is $HF_HUB_CACHE, else $HF_HOME/hub,
// else $XDG_CACHE_HOME/huggingface/hub, else $HOME/.cache/huggingface/hub (an empty variable counts as unset). In it:
//   models--ORG--NAME/ or datasets--ORG--NAME/
//     refs/REVISION         text: the commit; "main" without a revision
//     snapshots/COMMIT/     the files, links into blobs/
#ifndef FT_IO_HUB_CACHE_H
#define FT_IO_HUB_CACHE_H

#include "common/text.h"

// What a snapshot must hold to be whole: config.json; a tokenizer's file; adapter_config.json; any file.
typedef enum { FT_HUB_MODEL, FT_HUB_TOKENIZER, FT_HUB_ADAPTER, FT_HUB_DATASET } ft_hub_kind;

// Whether a text has the form of an id: at most one slash, letters, digits and -_. in its parts, none of which begins or ends
// with - or . ; not the name of a data, weight or YAML file.
bool ft_hub_is_id(const char *text);
// A path that exists, as it is, or the snapshot directory of an id; heap. `revision`: of an id without @, NULL = main.
// FT_E_NOT_FOUND, with the command that downloads it, if an id is not in the cache or not whole (the file that makes it whole is
// missing, or a link leads nowhere); and for a path that does not exist, with the command if it lies in a hub cache.
ft_status ft_hub_locate(ft_hub_kind kind, const char *path_or_id, const char *revision, char **directory);
// "ORG/NAME" of a path with a component models--ORG--NAME or datasets--ORG--NAME; heap. NULL if there is none or no memory.
char *ft_hub_repository_id(const char *path);
// The other way: CACHE/models--ORG--NAME of "ORG/NAME"; heap, NULL when out of memory.
char *ft_hub_repository_directory(const char *cache, ft_hub_kind kind, const char *repository);

#endif
