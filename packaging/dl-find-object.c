/* What the unwinder of gcc 12 and newer asks glibc for (glibc's dlfcn.h), for musl: where the unwind table of a program is. */
#include <link.h>

struct found {
  unsigned long long flags;
  void *start, *end, *link_map, *eh_frame;
  unsigned long long reserved[7];
};
struct search {
  ElfW(Addr) pc;
  struct found *found;
};

static int look(struct dl_phdr_info *object, size_t size, void *data) {
  struct search *search = data;
  struct found *found = search->found;
  int holds = 0;
  (void)size;
  found->eh_frame = 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    ElfW(Addr) start = object->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_GNU_EH_FRAME) found->eh_frame = (void *)start;
    if (part->p_type == PT_LOAD && search->pc - start < part->p_memsz) {
      found->start = (void *)start;
      found->end = (void *)(start + part->p_memsz);
      holds = 1;
    }
  }
  return holds && found->eh_frame;
}

int _dl_find_object(void *pc, struct found *found) {
  struct search search = { (ElfW(Addr))pc, found };
  *found = (struct found){ 0 };
  return dl_iterate_phdr(look, &search) ? 0 : -1;
}
