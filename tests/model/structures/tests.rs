//! Runs the checks of the library.

/// Declares a test for each check of a module.
macro_rules! checks {
    ($module:ident: $($check:ident,)+) => {
        mod $module {
            $(
                #[test]
                fn $check() {
                    model_structures::connection::$module::$check();
                }
            )+
        }
    };
}

checks! { close_cell_checks:
    first_final_reason_is_kept,
    added_stream_is_shut_down_or_refused,
    reason_ends_waits_of_both_streams,
}

checks! { lifecycle_checks:
    joins_wait_for_thread_over_restarts,
    restart_is_claimed_once,
    notification_ends_wait_for_condition,
}
