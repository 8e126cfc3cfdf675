// What a file of this machine is called where others read of it: a repository's id where its path lies in a hub's cache, else the
// last part of the path. Nothing else of a path goes into what is shared.
#ifndef FT_IO_PUBLIC_NAME_H
#define FT_IO_PUBLIC_NAME_H

// "ORG/NAME" of a path with a component models--ORG--NAME or datasets--ORG--NAME, or of such an id; heap. NULL if it is neither, or
// without memory.
char *ft_public_id(const char *path_or_id);
// The id, else the last part of the path ("the model" of a path that has none); heap, NULL without memory.
char *ft_public_name(const char *path_or_id);

#endif
