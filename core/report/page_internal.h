// The parts of the page: each appends what stands in one place of page/page.html.
#ifndef FT_REPORT_PAGE_INTERNAL_H
#define FT_REPORT_PAGE_INTERNAL_H

#include "report/report.h"

// Text as HTML: & < > " escaped, bytes that are not UTF-8 and control characters as U+FFFD.
ft_status ft_page_escape(const char *text, ft_text *out);

ft_status ft_page_cards(const ft_report *report, ft_text *out);    // a card a run: what it is, its state, its findings (page_table.c)
ft_status ft_page_summary(const ft_report *report, ft_text *out);  // the tables of facts (page_table.c)
ft_status ft_page_config(const ft_report *report, ft_text *out);   // the keys that differ, and all of each run (page_table.c)
ft_status ft_page_loss(const ft_report *report, ft_text *out);     // the loss as a drawing that needs no script (page_loss.c)
ft_status ft_page_data(const ft_report *report, ft_text *out);     // what the scripts draw, as JSON that cannot end its element (page_data.c)

#endif
