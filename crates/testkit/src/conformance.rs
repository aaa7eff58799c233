//! The tests that every backend must pass, generic over the contract. A backend's own test file calls
//! [`conformance!`](macro@crate::conformance) with a function that makes an empty database.

mod access;
mod base;
mod carts;
mod consents;
mod coupons;
mod desk;
mod journeys;
mod live;
mod live_imports;
mod people;
mod refunds;
mod relations;
mod rules;

pub use access::*;
pub use base::*;
pub use carts::*;
pub use consents::*;
pub use coupons::*;
pub use desk::*;
pub use journeys::*;
pub use live::*;
pub use live_imports::*;
pub use people::*;
pub use refunds::*;
pub use relations::*;
pub use rules::*;

use storage::{
    catalogue::CatalogueStore, contacts::ContactStore, events::EventStore, imports::ImportStore,
    orders::OrderStore, settings::SettingsStore,
};

/// What the base aggregates need.
pub trait Base:
    ContactStore
    + OrderStore
    + CatalogueStore
    + EventStore
    + ImportStore
    + SettingsStore
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Base for T where
    T: ContactStore
        + OrderStore
        + CatalogueStore
        + EventStore
        + ImportStore
        + SettingsStore
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Runs the conformance tests: one `#[test]` each, over what the expression makes (something that derefs to the backend
/// and keeps it alive).
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!(@each $make;
            import_makes_everything_once
            contacts_keep_what_is_absent
            contacts_are_refused_alone
            prices_follow_their_time
            last_carts_by_state
            events_are_known_by_their_message
            orders_can_be_scanned
            journey_runs_are_begun_once
            journey_batches_are_committed_once
            checkpoints_come_with_their_rows
            definitions_get_versions
            definitions_are_taken_back
            currencies_are_refused_or_converted
            refunds_reduce_their_order
            cancellations_find_their_orders
            totals_follow_orders
            product_days_fold
            relations_are_kept_by_version
            coupon_codes_are_added_once
            coupon_codes_are_given_once
            coupons_are_redeemed_by_orders
            live_inputs_wait_until_they_are_done
            live_inputs_may_be_stored
            live_waves_go_on_where_they_stand
            live_steps_commit_everything
            live_enrolments_begin_go_on_and_end
            live_steps_are_fenced_on_fields
            live_lives_are_kept
            live_imports_make_inputs_once
            live_imports_say_what_changed
            live_sends_are_those_that_were_not_refused
            people_anonymous_contacts_become_known
            people_share_a_computer
            people_are_joined_by_what_names_both
            people_merge_everything
            people_merges_follow_each_other
            carts_are_changed_line_by_line
            cart_changes_are_known_by_their_message
            carts_without_an_id_are_the_contacts_current_one
            carts_are_not_endless
            orders_are_updated
            products_are_filled_where_they_have_gaps
            refused_messages_are_kept_within_bounds
            access_users_keep_an_owner
            access_sessions_end
            access_tickets_open_once
            access_codes_are_used_up
            access_mails_are_claimed_by_one
            access_keys_and_entries
            jobs_come_to_their_end_once
            jobs_are_taken_up_again
            requests_are_begun_once
            drafts_are_fenced
            consents_are_kept_with_their_proof
            consents_wait_for_their_confirmation
            consents_are_not_asked_for_too_often
            consents_of_forms_leave_profiles_alone
            clicks_are_settled_once
            friends_are_told_once
            settings_are_replaced_by_who_knows_them
        );
    };
    (@each $make:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let store = $make;
                $crate::block_on($crate::conformance::$name(&*store));
            }
        )*
    };
}
