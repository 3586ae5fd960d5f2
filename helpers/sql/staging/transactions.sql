-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line,
        as_id(raw.customer_id) as customer_id,
        raw.transaction_id, raw.product_id, raw.product_name, raw.category, raw.original_transaction_id, raw.subscription_id,
        upper(raw.currency) as currency,
        lower(raw.type) as type, lower(raw.status) as status, lower(raw.item_type) as item_type,
        as_time(raw.transacted_at, raw.zone, run.report_zone) as transacted_at,
        as_time(raw.service_start, raw.zone, run.report_zone) as service_start,
        as_time(raw.service_end, raw.zone, run.report_zone) as service_end,
        try_cast(raw.amount as decimal(18, 4)) as amount,
        try_cast(raw.line_no as integer) as line_no,
        try_cast(raw.quantity as decimal(18, 4)) as quantity,
        try_cast(raw.unit_price as decimal(18, 8)) as unit_price,
        try_cast(raw.discount as decimal(18, 4)) as discount,
        try_cast(raw.tax as decimal(18, 4)) as tax,
        raw.transacted_at as written_at, raw.amount as written_amount, raw.line_no as written_line_no,
        raw.quantity as written_quantity, raw.discount as written_discount,
        run.as_of, run.currency as report_currency
    from raw_transactions as raw cross join run
),
judged as (
    select
        *,
        case
            when transacted_at is null then 'transacted_at'
            when transacted_at < timestamp '1970-01-01 00:00:00' then 'transacted_at'
            when amount is null or (type = 'refund' and amount > 0) then 'amount'
            when unread(written_line_no, line_no) then 'line_no'
            when unread(written_quantity, quantity) then 'quantity'
            when unread(written_discount, discount) then 'discount'
            when misfit(type, 'sale refund adjustment') then 'type'
            when misfit(status, 'paid failed') then 'status'
            when misfit(item_type, 'subscription addon service one_off usage') then 'item_type'
            when currency <> report_currency then 'currency'
        end as bad_column
    from typed
),
named as (
    select
        *,
        case bad_column
            when 'transacted_at' then written_at when 'amount' then written_amount when 'line_no' then written_line_no
            when 'quantity' then written_quantity when 'discount' then written_discount
            when 'type' then type when 'status' then status when 'item_type' then item_type when 'currency' then currency
        end as bad_value,
        -- without an id: one transaction a customer and instant; nobody's rows are a transaction each
        coalesce(transaction_id, concat(
            coalesce(customer_id, concat(file, ', line ', cast(line as varchar))), '@', cast(transacted_at as varchar)
        )) as id
    from judged
),
keyed as (
    select
        *,
        -- lines without a number are numbered by all other columns, never by the order of the file
        case when line_no is null then row_number() over (
            partition by id, line_no is null, bad_column is null
            order by
                transacted_at, customer_id, amount, type, status, item_type, product_id, product_name, category,
                quantity, unit_price, discount, tax, subscription_id, original_transaction_id, file, line
        ) + coalesce(max(line_no) over (partition by id), 0) else line_no end as numbered,
        case when line_no is not null then row_number() over (
            partition by id, line_no, bad_column is null order by transacted_at, customer_id, amount, file, line
        ) else 1 end as copy
    from named
)
select
    file, line, id as transaction_id, cast(numbered as integer) as line_no, customer_id, transacted_at, amount,
    coalesce(type, case when amount < 0 then 'refund' else 'sale' end) as type,
    coalesce(status, 'paid') as status,
    product_id, product_name, category, item_type, quantity, unit_price, discount, tax,
    coalesce(currency, report_currency) as currency, original_transaction_id, subscription_id, service_start, service_end,
    case
        when transacted_at >= as_of then 'after_as_of' when bad_column is not null or copy > 1 then 'rejected' else 'kept'
    end as stage,
    case
        when transacted_at >= as_of then null
        when bad_column is null and copy > 1 then 'key stands twice'
        when bad_column = 'currency' then 'other currency than the report'
        when bad_column in ('type', 'status', 'item_type') then 'not an accepted value'
        when bad_column = 'amount' and amount is not null then 'refund above zero'
        when bad_column = 'transacted_at' and transacted_at is not null then 'before 1970'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    case when bad_column is null and copy > 1 then 'transaction_id, line_no' else bad_column end as rule_column,
    case when bad_column is null and copy > 1 then id else bad_value end as rule_value
from keyed
